import type { AccountAddress, GroupRoom, RoomId } from '../../identity/index.ts'
import { RoomStanding } from '../../protocol/index.ts'
import { clockFault } from '../clock.ts'
import { pause } from '../connection/pause.ts'
import { expect, ProviderRefusal } from '../connection/wire.ts'
import { kindOf, parseRoom, standingOf } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import { asClientError, ClientError, IdentityRefusal } from '../errors.ts'
import { pendingCommits, type RoomRecord, rooms } from '../state/records.ts'
import { inRoom, lookIntoRoom } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'
import { tellRoom } from './announce.ts'
import type { Invitation } from './changes.ts'
import { claim, prepareRoom } from './create.ts'
import { sendPending } from './outbox.ts'
import type { Workers } from './workers.ts'

/** The direct room with an account: the one that exists here or at the provider, or a new one. */
export async function directRoom(context: Context, workers: Workers, address: AccountAddress): Promise<RoomId> {
  const known = await context.storage.transaction(async (tx) =>
    (await rooms.list(tx)).find(
      ({ value }) =>
        value.kind === 'direct' &&
        value.other === address &&
        value.otherStanding !== 'left' &&
        !value.refused &&
        (value.creating || value.standing === 'accepted' || value.standing === 'requested'),
    ),
  )
  if (known) {
    const room = known.key as RoomId
    return known.value.creating ? submitRoom(context, workers, room) : room
  }
  // One after the other: where the other side refuses, nothing of this account's own supply is used up.
  const others = await claim(context, address)
  const own = await claim(context, context.self.address)
  const { providerKey } = await context.connection.hello()
  return submitRoom(context, workers, await prepareRoom(context, { kind: 'direct' }, providerKey, [others, own]))
}

/** A new group with these accounts in it, of which this one is the owner. */
export async function makeGroup(
  context: Context,
  workers: Workers,
  state: GroupRoom,
  invitations: readonly Invitation[],
  within?: (tx: StorageTx, room: RoomId) => Promise<void>,
): Promise<RoomId> {
  const { providerKey } = await context.connection.hello()
  return submitRoom(context, workers, await prepareRoom(context, state, providerKey, invitations, { within }))
}

/** The account's devices among themselves. */
export async function selfRoom(context: Context, workers: Workers): Promise<void> {
  const all = await context.storage.transaction((tx) => rooms.list(tx))
  if (all.some(({ value }) => value.kind === 'self')) return
  const own = await claim(context, context.self.address)
  const { providerKey } = await context.connection.hello()
  await submitRoom(context, workers, await prepareRoom(context, { kind: 'self' }, providerKey, [own]))
}

/**
 * Asks the provider to take a room that was prepared. When there is one with this account already, that one is waited
 * for, or entered from outside, and what was prepared is forgotten.
 */
async function submitRoom(context: Context, workers: Workers, room: RoomId): Promise<RoomId> {
  const pending = await context.storage.transaction((tx) => pendingCommits.get(tx, room))
  if (!pending) return room
  try {
    await sendPending(context, room, pending)
    workers.send(room)
    return room
  } catch (failure) {
    const error = asClientError(failure, 'protocol')
    // Whether it was taken is not known: the same is sent again when there is a link.
    if (error.retry || !(error instanceof ProviderRefusal) || !context.online()) throw error
    const wanted = await inRoom(context, room, async ({ tx, record }) => {
      await pendingCommits.delete(tx, room)
      await rooms.delete(tx, room)
      return record
    })
    if (error.code !== 'direct-room-exists' || !wanted) throw clockFault(context, error)
    const existing = parseRoom(error.room)
    await reach(context, workers, existing, wanted)
    return existing
  }
}

/**
 * Waits until this device is in a room: by the Welcome that is under way, or else from outside. That it is the room that
 * was wanted is the provider's word, so it is looked at: what is meant for one must not be said to another.
 */
async function reach(
  context: Context,
  workers: Workers,
  room: RoomId,
  { kind, other }: Pick<RoomRecord, 'kind' | 'other'>,
): Promise<void> {
  const joined = () => lookIntoRoom(context, room, async ({ record }) => record?.joined === true)
  if (!(await watch(context, room, joined, context.settings.welcomeWait))) {
    await inRoom(context, room, async (work) => {
      if (work.record?.joined) return
      const begun = { kind, standing: 'accepted', answered: false, joined: false, cursor: 0 } as const
      if (!work.record) work.begin(begun)
      work.update({ enter: true, ...(other && !work.record?.other && { other }) })
    })
    workers.send(room)
    if (!(await watch(context, room, joined, context.settings.enterWait))) throw new ClientError('timeout')
  }
  const record = await lookIntoRoom(context, room, async ({ record }) => record)
  if (record?.kind !== kind || record.other !== other) throw new IdentityRefusal('bad-identity', other)
}

/** Whether the condition came true in that time; looked at whenever something of the room was told. */
async function watch(
  context: Context,
  room: RoomId,
  condition: () => Promise<boolean>,
  milliseconds: number,
): Promise<boolean> {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const woken = new AbortController()
    const wake = (changed: RoomId) => changed === room && woken.abort()
    // Listened for first, so that no change between looking and waiting is missed.
    context.watchers.add(wake)
    try {
      if (await condition()) return true
      const left = deadline - Date.now()
      if (left <= 0 || context.signal.aborted) return false
      await pause(left, woken.signal)
    } finally {
      context.watchers.delete(wake)
    }
  }
}

/**
 * Whether this device and the provider have different epochs, though nothing is under way that would explain it: a commit
 * was kept from the device, or the provider's state was put back. `before`: as it was here when the list was asked for.
 */
async function isApart(context: Context, room: RoomId, before: RoomRecord, epoch: number): Promise<boolean> {
  if (!before.joined || before.enter || before.epoch === undefined) return false
  if (before.epoch > epoch) return true
  const follows = () =>
    lookIntoRoom(context, room, async ({ tx, record }) => {
      const here = record?.joined && !record.enter ? record.epoch : epoch
      return here === undefined || here >= epoch || (await pendingCommits.get(tx, room)) !== undefined
    })
  // The commit can have been made after everything that waited had been delivered.
  return before.epoch < epoch && !(await watch(context, room, follows, context.settings.welcomeWait))
}

/**
 * Compares the rooms here with the provider's list, when everything that waited has been delivered: rooms of the account
 * in which this device has no leaf are entered from outside, standings are brought up to date.
 */
export async function reconcile(context: Context, workers: Workers): Promise<void> {
  const here = await context.storage.transaction((tx) => rooms.list(tx))
  // A device that enters while the list is on its way is in it as one that is not there.
  const before = new Map(here.map(({ key, value }) => [key, value]))
  const list = expect(await context.request({ case: 'listRooms', value: {} }), 'rooms')
  for (const summary of list.rooms) {
    if (summary.standing === RoomStanding.ROOM_STANDING_UNSPECIFIED) continue
    const room = parseRoom(summary.room)
    const standing = standingOf(summary.standing)
    const other = summary.other === RoomStanding.ROOM_STANDING_UNSPECIFIED ? undefined : standingOf(summary.other)
    const member = standing === 'requested' || standing === 'accepted'
    const known = before.get(room)
    const told = other === undefined || known?.otherStanding === other
    const apart = known !== undefined && (await isApart(context, room, known, Number(summary.epoch)))
    if (known?.joined && summary.joined && known.standing === standing && !known.enter && told && !apart) continue
    if (known?.creating || known?.refused || (!known && !member)) continue
    // Its Welcome can be under way at this moment.
    if (!known?.joined && summary.joined) {
      const joined = () => lookIntoRoom(context, room, async ({ record }) => record?.joined === true)
      if (await watch(context, room, joined, context.settings.welcomeWait)) continue
    }
    await inRoom(context, room, async (work) => {
      if (!work.record) {
        work.begin({ kind: kindOf(summary.kind), standing, answered: false, joined: false, cursor: 0, enter: true })
        return
      }
      const lost = !summary.joined && known?.joined === true
      if (member && (!work.record.joined || lost || apart)) work.update({ enter: true })
      if (work.record.standing === standing && told) return
      work.update({ standing, ...(other && { otherStanding: other, answered: other === 'accepted' }) })
      await tellRoom(context, work)
    })
    workers.send(room)
  }
}
