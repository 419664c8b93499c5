import type { RoomId } from '../../identity/index.ts'
import { expect } from '../connection/wire.ts'
import { parseRoom } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import {
  incarnations,
  keyPackages,
  pendingCommits,
  type RoomRecord,
  rooms,
  submissionPrefix,
  submissions,
} from '../state/records.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import type { Storage, StorageTx } from '../types.ts'
import { certify, currentManifest } from './manifests.ts'

/**
 * The storage was put back from a backup: keys in it may have been used since. Before anything else is done with it, every
 * room is marked to be entered anew from outside, with fresh keys in place of the own old leaf; what was encrypted and not
 * known to be accepted is encrypted again under the same message id; one-time KeyPackages are forgotten.
 *
 * @param incarnation which life of the storage it is, since it was put back; its owner knows
 */
export async function followStorage(storage: Storage, incarnation: number): Promise<void> {
  await storage.transaction(async (tx) => {
    const known = await incarnations.get(tx)
    if ((known?.storage ?? 0) === incarnation) return
    for (const { key, value } of await rooms.list(tx)) {
      await enterAnew(tx, key)
      // A room that was being made can have been made, and its keys used, in the time that is lost.
      if (value.creating) await rooms.delete(tx, key)
      else if (value.joined) await rooms.put(tx, key, { ...value, enter: true })
    }
    for (const { key, value } of await keyPackages.list(tx)) if (!value.lastResort) await keyPackages.delete(tx, key)
    await incarnations.put(tx, { provider: known?.provider ?? 0, storage: incarnation })
  })
}

/** What is under way belongs to a group that this device leaves behind. */
async function enterAnew(tx: StorageTx, room: RoomId): Promise<void> {
  await pendingCommits.delete(tx, room)
  for (const { key, value } of await submissions.list(tx, submissionPrefix(room))) {
    const { message: _, epoch: __, ...unencrypted } = value
    await submissions.put(tx, key, unencrypted)
  }
}

/**
 * The provider's state was put back from a backup: it knows less than this device. Rooms in which this device has seen
 * what the provider has lost are entered anew; rooms that the provider no longer has are left. The primary gives the
 * provider the manifest that it lost. To be done before anything is sent or taken: two groups of a room can have the same
 * epoch.
 */
export async function followProvider(
  context: Context,
  { incarnation, manifestNumber }: { incarnation: number; manifestNumber: number },
): Promise<void> {
  const known = await context.storage.transaction((tx) => incarnations.get(tx))
  if ((known?.provider ?? 0) === incarnation) return
  const { rooms: summaries } = expect(await context.request({ case: 'listRooms', value: {} }), 'rooms')
  const listed = new Map(summaries.map((summary) => [parseRoom(summary.room), summary]))
  const here = await context.storage.transaction((tx) => rooms.list(tx))
  for (const { key } of here) {
    const summary = listed.get(key)
    await inRoom(context, key, async (work) => {
      if (!work.record || work.record.creating) return
      if (!summary) return leaveLost(work)
      const { cursor, epoch = 0, joined } = work.record
      const sawLost = summary.lost.some(({ after, before }) => cursor > Number(after) && cursor < Number(before))
      if (!sawLost && epoch <= Number(summary.epoch)) return
      // Its group goes on from an older epoch than was seen here.
      work.update({ epoch: 0 })
      if (!joined) return
      await enterAnew(work.tx, key)
      work.update({ enter: true })
    })
  }
  await giveManifest(context, manifestNumber)
  await context.storage.transaction(async (tx) => {
    const newest = await incarnations.get(tx)
    // No Welcome of an epoch that was lost can be opened again, since keys of that epoch were used.
    for (const { key, value } of await keyPackages.list(tx)) if (value.lastResort) await keyPackages.delete(tx, key)
    await incarnations.put(tx, { storage: newest?.storage ?? 0, provider: incarnation })
  })
}

/** The room was made after the backup. Nobody can write into it any more. */
function leaveLost(work: RoomWork): void {
  if (work.record?.standing === 'left' || work.record?.standing === 'declined') return
  const gone: Partial<RoomRecord> = { standing: 'left', joined: false, enter: false }
  work.update(gone)
  work.forgetGroup()
}

/** The newest manifest, with a certificate for each device in it: the provider may have lost them as well. */
async function giveManifest(context: Context, manifestNumber: number): Promise<void> {
  if (!context.self.accountPrivateKey) return
  const own = await context.storage.transaction((tx) => currentManifest(context, tx))
  if (own.number <= manifestNumber) return
  const certificates = own.read.devices.map((device) => certify(context, context.self, device))
  expect(
    await context.connection.request({ case: 'putManifest', value: { manifest: own.bytes, certificates } }),
    'done',
  )
}
