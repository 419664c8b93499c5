import type { RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import type { RoomRecord, RosterRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { Room } from '../types.ts'
import { postureOf, samePosture } from './roster.ts'

/** A room as an application sees it. */
export function roomView(id: RoomId, record: RoomRecord): Room {
  const { kind, standing, answered, joined, cursor, other, otherStanding, inviter, group } = record
  return {
    id,
    kind,
    standing,
    answered,
    joined,
    cursor,
    ...(other && { other }),
    ...(otherStanding && { otherStanding }),
    ...(inviter && { inviter }),
    ...(group && { name: group.name, role: group.role }),
  }
}

/** Rooms that are still being made are nobody's business yet. */
export function visible(record: RoomRecord): boolean {
  return !record.creating
}

export async function tellRoom(context: Context, work: RoomWork): Promise<void> {
  if (!work.record || !visible(work.record)) return
  work.afterwards(() => {
    for (const watcher of [...context.watchers]) watcher(work.id)
  })
  const view = roomView(work.id, work.record)
  await context.events.run('room', view, work.tx)
}

/** Tells of who can read from now on, when that is not what it was: another number, or others of the same number. */
export async function tellPosture(
  context: Context,
  work: RoomWork,
  before: RosterRecord | undefined,
  after: RosterRecord,
): Promise<void> {
  const posture = postureOf(after, context.settings)
  const previous = before && postureOf(before, context.settings)
  if (before && previous && samePosture(previous, posture) && sameAccounts(before, after)) return
  await context.events.run('posture', { room: work.id, posture, ...(previous && { previous }) }, work.tx)
}

function sameAccounts(before: RosterRecord, after: RosterRecord): boolean {
  const was = new Set(before.leaves.map(({ address }) => address))
  return after.leaves.every(({ address }) => was.has(address))
}
