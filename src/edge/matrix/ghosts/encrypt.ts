import {
  CollectStrategy,
  EncryptionSettings,
  HistoryVisibility,
  RequestType,
  RoomId,
  UserId,
} from '@matrix-org/matrix-sdk-crypto-wasm'
import { toBase64Url } from '../../../crypto/index.ts'
import { delay, eachOf } from '../locks.ts'
import type { Wanted } from './claims.ts'
import type { Context } from './context.ts'
import type { Also } from './crypto-store.ts'
import { GhostError } from './errors.ts'
import type { Loaded } from './ghost.ts'
import { userIds } from './machine.ts'
import { flushRequests, type MachineRequest, markSent, masquerade, sendRequest } from './requests.ts'
import type { Keep, PlainEvent } from './types.ts'

/** To-device requests of one room key that are under way at once; each carries up to 250 devices. */
const sharesAtOnce = 4

/**
 * The order that works, under the room's lock: take what waits (changed devices, to-device), know the readers' devices,
 * have an Olm session with each, share the room key, and only then encrypt. Without a preceding share Rust panics on a
 * room key that is missing or used up, so what comes after the key's last message gets the next key first.
 */
export function encryptEvents(
  context: Context,
  ghost: Loaded,
  room: string,
  events: readonly PlainEvent[],
  members: readonly string[],
  keep?: Keep,
): Promise<Record<string, unknown>[]> {
  return ghost.locks.run(`room ${room}`, async () => {
    const readers = [...new Set(members)].filter((user) => !context.isOurs(user)).sort()
    await takeInbox(context, ghost)
    // A look-up of devices that failed, in this process or before it: their keys would be shared with old devices only.
    if (ghost.owes) await flush(context, ghost)
    const isFirst = await follow(context, ghost, readers)
    const made: Record<string, unknown>[] = []
    while (made.length < events.length) {
      if (!isGiven(context, ghost, room, readers) && !(await giveRoomKey(context, ghost, room, readers))) {
        // What is known of their devices may be old: the homeserver tells of changes only where a room is shared.
        await queryKeys(context, ghost, readers)
        if (!(await giveRoomKey(context, ghost, room, readers))) {
          // Made for nobody, it would age until somebody is there, and its age is not known then.
          await ghost.machine.call((olm) => olm.invalidateGroupSession(new RoomId(room)))
          throw new GhostError('unreadable', true)
        }
      }
      // A client that gets a message before it has looked up whose key that is may refuse it, and not look again.
      if (isFirst && made.length === 0) await delay(context.settings.firstMessageMs)
      const from = made.length
      let isKnown = false
      const some = await encryptUnderOneKey(context, ghost, room, events.slice(from), (some) => {
        isKnown = sessionOf(some) === ghost.readable.get(room)?.session
        return keep && isKnown ? (tx) => keep(tx, some, from) : undefined
      }).catch((error: unknown) => {
        // Whatever it was: the next attempt takes nothing for granted.
        ghost.roomKeys.delete(room)
        throw error
      })
      noteRoomKey(ghost, room, some)
      // What was kept as readable is sent, whatever has changed since.
      if (!isKnown) {
        await checkRoomKey(ghost, room, readers, sessionOf(some))
        if (keep) await context.database.transaction(async (tx) => keep(tx, some, from))
      }
      made.push(...some)
    }
    return made
  })
}

type Made = readonly Record<string, unknown>[]

const sessionOf = (made: Made): string => String(made[0]?.session_id)

/** As many of these events as the present room key may still serve, at least one; their use of it is durable. */
function encryptUnderOneKey(
  { settings }: Context,
  ghost: Loaded,
  room: string,
  events: readonly PlainEvent[],
  also: (made: Made) => Also | undefined,
): Promise<Made> {
  return ghost.machine.call(async (olm) => {
    const made: Record<string, unknown>[] = []
    for (const { type, content } of events) {
      const text = await olm.encryptRoomEvent(new RoomId(room), type, JSON.stringify(content))
      const encrypted = JSON.parse(text) as Record<string, unknown>
      made.push(encrypted)
      if (indexOf(encrypted) + 1 >= settings.rotationMessages) break
    }
    return made as Made
  }, also)
}

/** Which message under its key this is, from 0 (Megolm specification, message format: version, 0x08, index as varint). */
function indexOf({ ciphertext }: Record<string, unknown>): number {
  const bytes = Buffer.from(String(ciphertext).slice(0, 16), 'base64')
  let index = 0
  for (let at = 2; at < bytes.length; at++) {
    index += (bytes[at]! & 0x7f) * 128 ** (at - 2)
    if (bytes[at]! < 0x80) return index
  }
  throw new GhostError('machine', false)
}

/**
 * Whether all devices of these readers have the room key, and it may serve for one message more; then the machine would have
 * nothing to do. True only of a key whose beginning was seen: Rust panics on one that is used up, and keeps its age to itself.
 */
function isGiven({ settings }: Context, ghost: Loaded, room: string, who: readonly string[]): boolean {
  const known = ghost.readable.get(room)
  const key = ghost.roomKeys.get(room)
  if (known?.told !== ghost.machine.told || known.readers !== readersText(who, {})) return false
  if (key === undefined || key.session !== known.session || key.next >= settings.rotationMessages) return false
  // Half of what the key may serve, so that it cannot end in between. A clock that went back ends it as well.
  const age = Date.now() - key.begunAt
  return age >= 0 && age < settings.rotationMs / 2
}

function noteRoomKey(ghost: Loaded, room: string, made: Made): void {
  const session = sessionOf(made)
  const known = ghost.roomKeys.get(room)
  const begunAt = known?.session === session ? known.begunAt : indexOf(made[0]!) === 0 ? Date.now() : undefined
  if (begunAt === undefined) ghost.roomKeys.delete(room)
  else ghost.roomKeys.set(room, { session, begunAt, next: indexOf(made.at(-1)!) + 1 })
}

const readersText = (who: readonly string[], missing: Wanted) => JSON.stringify([who, missing])

/** Shares the room key with all devices that can be reached, and says whether somebody can read now. */
async function giveRoomKey(context: Context, ghost: Loaded, room: string, who: readonly string[]): Promise<boolean> {
  const { told } = ghost.machine
  const missing = await openSessions(context, ghost, who)
  const shared = await shareRoomKey(context, ghost, room, who)
  const readers = readersText(who, missing)
  const known = ghost.readable.get(room)
  if (shared === 0 && known?.readers === readers) {
    ghost.readable.set(room, { ...known, told })
    return true
  }
  ghost.readable.delete(room)
  if (!(await someoneCanRead(ghost, who, missing))) return false
  ghost.readable.set(room, { readers })
  return true
}

/**
 * When the last device goes away the machine makes a new room key, and there is nobody to share it with: what was
 * encrypted with a key that nobody is known to have is not given out unless somebody is there after all.
 */
async function checkRoomKey(ghost: Loaded, room: string, who: readonly string[], session: string): Promise<void> {
  const known = ghost.readable.get(room)
  if (known?.session === session) return
  const [, missing] = JSON.parse(known?.readers ?? '[[],{}]') as [string[], Wanted]
  if (!(await someoneCanRead(ghost, who, missing))) throw new GhostError('unreadable', true)
  if (known) ghost.readable.set(room, { ...known, session })
}

/** Gives the machine what waits for it and sends what it answers. */
export async function takeInbox(context: Context, ghost: Loaded, how?: 'quick'): Promise<void> {
  const any = await ghost.locks.run('inbox', () => context.inbox.drain(ghost, how))
  if (any) await flush(context, ghost)
}

export function flush(context: Context, ghost: Loaded): Promise<void> {
  return ghost.locks.run('requests', async () => {
    ghost.owes = true
    await flushRequests(context.homeserver, ghost.machine, context.log)
    ghost.owes = false
  })
}

/** From now on the machine knows these users' devices and hears of their changes. Says whether any is new to the ghost. */
export async function follow(context: Context, ghost: Loaded, users: readonly string[]): Promise<boolean> {
  const strangers = users.filter((user) => !ghost.tracked.has(user))
  if (strangers.length === 0) return false
  await ghost.machine.tell((olm) => olm.updateTrackedUsers(userIds(strangers)))
  for (const user of strangers) ghost.tracked.add(user)
  await flush(context, ghost)
  return true
}

/** Asks for these users' devices whether or not anything is known to have changed. */
export async function queryKeys(context: Context, ghost: Loaded, users: readonly string[]): Promise<void> {
  if (users.length === 0) return
  await ghost.locks.run('requests', async () => {
    const request = await ghost.machine.call(async (olm) => olm.queryKeysForUsers(userIds(users)))
    await sendRequest(context.homeserver, ghost.machine, request as unknown as MachineRequest)
  })
}

/**
 * Opens Olm sessions with all devices that lack one; once for all rooms of the ghost. Gives those that still lack one.
 * The machine would leave a device alone for a quarter of an hour once told that it has no key, and then say that no
 * session is missing: so it is told of keys only, under an id that it did not ask with.
 */
export function openSessions(context: Context, ghost: Loaded, users: readonly string[]): Promise<Wanted> {
  return ghost.locks.run('claims', async () => {
    const wanted = await missingSessions(ghost, users)
    if (!wanted) return {}
    const claimed = await context.claims.claim(masquerade(ghost.machine), wanted)
    if (Object.keys(claimed).length === 0) return wanted
    const id = toBase64Url(context.crypto.randomBytes(16))
    await markSent(ghost.machine, id, RequestType.KeysClaim, { one_time_keys: claimed, failures: {} })
    return (await missingSessions(ghost, users)) ?? {}
  })
}

async function missingSessions(ghost: Loaded, users: readonly string[]): Promise<Wanted | undefined> {
  const request = await ghost.machine.call((olm) => olm.getMissingSessions(userIds(users)))
  return request ? (JSON.parse(request.body).one_time_keys as Wanted) : undefined
}

/** Returns how many messages had to be sent: none when everybody has the key. */
async function shareRoomKey(context: Context, ghost: Loaded, room: string, readers: readonly string[]) {
  const { homeserver, settings } = context
  const how = new EncryptionSettings()
  how.sharingStrategy = CollectStrategy.allDevices()
  how.historyVisibility = HistoryVisibility.Invited
  how.rotationPeriodMessages = BigInt(settings.rotationMessages)
  how.rotationPeriod = BigInt(settings.rotationMs) * 1000n // µs
  const requests = await ghost.machine.call((olm) => olm.shareRoomKey(new RoomId(room), userIds(readers), how))
  await eachOf(requests as unknown as MachineRequest[], sharesAtOnce, async (request) => {
    await sendRequest(homeserver, ghost.machine, request)
  })
  return requests.length
}

async function someoneCanRead(ghost: Loaded, readers: readonly string[], missing: Wanted): Promise<boolean> {
  for (const reader of readers) {
    const devices = await ghost.machine.call((olm) => olm.getUserDevices(new UserId(reader)))
    for (const device of devices.keys()) if (!missing[reader]?.[device.toString()]) return true
  }
  return false
}
