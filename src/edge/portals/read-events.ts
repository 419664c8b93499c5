import { concatBytes, toBase64Url, utf8 } from '../../crypto/index.ts'
import type { StoredEvent } from '../matrix/appservice.ts'
import { type GhostId, isDecrypted } from '../matrix/ghosts.ts'
import type { PortalContext } from './context.ts'
import { waitForKey } from './missing-key.ts'
import type { OpenPortal, Portal } from './portal-table.ts'
import { words } from './words.ts'

type Json = Record<string, unknown>

export interface Plain {
  type: string
  content: Json
  /** Names the encrypted message that it was (Matrix specification, "m.megolm.v1.aes-sha2": replays). */
  origin?: Uint8Array | undefined
  /** Of a device that its owner has not cross-signed: the homeserver can have made it up (MSC4153). */
  unsigned?: boolean
}
type Read = Plain | { retryAfterMs: number } | { placeholder: true } | { said: string }

async function readEvent(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<Read> {
  const { type, content } = stored
  if (type !== 'm.room.encrypted') {
    // Relations that clients send in clear in encrypted rooms too; what people write must not come in clear.
    return type === 'm.room.message' || type === 'm.sticker' ? { said: words.unencrypted() } : { type, content }
  }
  const read = (ghost: GhostId) => context.ghosts.decrypt(ghost, portal.matrixRoom, stored.event)
  const first = await read(portal.ghost)
  const result = 'missingKey' in first && portal.earlier !== undefined ? await read(portal.earlier) : first
  if (isDecrypted(result)) {
    const unsigned = result.shield.code === 'UnsignedDevice' || result.shield.code === 'UnknownDevice'
    if (unsigned) context.counters.count('suspicious', { reason: 'unsigned-device' })
    const plain = { type: result.type, content: withRelation(result.content, content) }
    return { ...plain, origin: originOf(context, content), unsigned }
  }
  if ('failed' in result) {
    context.counters.count('decryption_failures', { reason: result.failed })
    return { said: words.undecryptable() }
  }
  const left = waitForKey(context.settings, context.clock(), stored, result)
  return left > 0 ? { retryAfterMs: left } : { placeholder: true }
}

/** Session and index of a Megolm message: a byte for the version, then 0x08 and the index as a varint. */
function originOf({ crypto }: PortalContext, { session_id: session, ciphertext }: Json): Uint8Array | undefined {
  if (typeof session !== 'string' || typeof ciphertext !== 'string') return undefined
  const [, tag, ...index] = Buffer.from(ciphertext.slice(0, 16), 'base64')
  if (tag !== 0x08) return undefined
  const end = index.findIndex((byte) => byte < 0x80)
  return crypto.sha256(
    concatBytes(utf8(`silta megolm message\0${session}\0`), Uint8Array.from(index.slice(0, end + 1))),
  )
}

/** The relation may stand outside of what is encrypted only (Matrix specification, m.room.encrypted). */
export const withRelation = (content: Json, outer: Json): Json =>
  content['m.relates_to'] === undefined && outer['m.relates_to'] !== undefined
    ? { ...content, 'm.relates_to': outer['m.relates_to'] }
    : content

/** A stored event, and what it says; or that its key has not come, or why it is refused. */
export interface ReadEvent {
  stored: StoredEvent
  read: Exclude<Read, { retryAfterMs: number }>
}

/** Reads events up to the first that has to wait, or that failed. What comes before that one need not wait for it. */
export async function readEvents(context: PortalContext, portal: OpenPortal, events: readonly StoredEvent[]) {
  const all: ReadEvent[] = []
  for (const stored of events) {
    try {
      const read = await readEvent(context, portal, stored)
      if ('retryAfterMs' in read) return { all, stopped: read }
      all.push({ stored, read })
    } catch (error) {
      if (all.length === 0) throw error
      return { all, stopped: error instanceof Error ? error : new Error('reading an event failed', { cause: error }) }
    }
  }
  return { all, stopped: undefined }
}

/** Those that are repetitions. A homeserver can hand an old message over anew; the encryption alone does not show it. */
export async function replaysAmong(context: PortalContext, portal: Portal, all: readonly ReadEvent[]) {
  const made = all.flatMap((one) => {
    const origin = 'origin' in one.read ? one.read.origin : undefined
    return origin ? [{ one, origin: toBase64Url(origin) }] : []
  })
  const known = await context.messages.eventsMadeOf(
    context.database,
    portal.id,
    made.map(({ origin }) => origin),
  )
  const replays = new Set<ReadEvent>()
  for (const { one, origin } of made) {
    const first = known.get(origin) ?? one.stored.eventId
    known.set(origin, first)
    if (first === one.stored.eventId) continue
    context.counters.count('suspicious', { reason: 'replayed' })
    replays.add(one)
  }
  return replays
}
