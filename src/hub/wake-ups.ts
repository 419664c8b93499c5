import type { Bus } from '../bus/index.ts'
import { fromBase64Url, toBase64Url } from '../crypto/index.ts'

/**
 * What a connected device should look at again. It says where, never what: that is read from the database. Only an
 * ephemeral frame is all there is of itself: ciphertext that nobody keeps.
 */
export type News =
  | { kind: 'room' | 'standing' | 'ending'; room: number }
  | { kind: 'welcome' | 'unlinked' | 'consent' | 'key-packages' }
  /** The device has opened another channel, named here: older ones close. */
  | { kind: 'taken-over'; by: string }
  | { kind: 'ephemeral'; roomId: string; frame: Uint8Array }

const letters = {
  r: 'room',
  s: 'standing',
  e: 'ending',
  w: 'welcome',
  u: 'unlinked',
  c: 'consent',
  k: 'key-packages',
} as const

function topicOf(device: string): string {
  return `device/${device}`
}

/** Tells a device's connections, in whatever process they are. Only after the commit. */
export function wake(bus: Bus, device: string, news: News): void {
  bus.publish(topicOf(device), encode(news))
}

/** Calls `onNews` for what concerns the device from now on. Returns a function that ends it. */
export function listen(bus: Bus, device: string, onNews: (news: News[]) => void): () => void {
  return bus.subscribe(topicOf(device), (where) => onNews([...where].flatMap(decode)))
}

function encode(news: News): string {
  if (news.kind === 'taken-over') return `t${news.by}`
  if (news.kind === 'ephemeral') return `f${toBase64Url(news.frame)} ${news.roomId}`
  const letter = Object.entries(letters).find(([, kind]) => kind === news.kind)?.[0]
  return 'room' in news ? `${letter}${news.room}` : `${letter}`
}

function decode(hint: string): News[] {
  const kind = letters[hint[0] as keyof typeof letters]
  if (hint[0] === 't') return [{ kind: 'taken-over', by: hint.slice(1) }]
  if (kind === 'room' || kind === 'standing' || kind === 'ending') return [{ kind, room: Number(hint.slice(1)) }]
  if (hint[0] === 'f') {
    const space = hint.indexOf(' ')
    return [{ kind: 'ephemeral', roomId: hint.slice(space + 1), frame: fromBase64Url(hint.slice(1, space)) }]
  }
  return kind ? [{ kind }] : []
}
