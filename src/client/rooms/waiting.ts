import type { RoomId } from '../../identity/index.ts'
import { isProfileDue } from '../account/profiles.ts'
import type { Context } from '../context.ts'
import { pendingCommits, rooms, submissions } from '../state/records.ts'
import type { StorageTx } from '../types.ts'

/** Rooms in which something was stored and not sent yet: messages, commits, what is owed, rooms to enter. */
export async function roomsThatWait(context: Pick<Context, 'self'>, tx: StorageTx): Promise<ReadonlySet<RoomId>> {
  const messages = (await submissions.list(tx)).map(({ key }) => key.slice(0, key.indexOf(' ')))
  const commits = (await pendingCommits.list(tx)).map(({ key }) => key)
  const due = (await rooms.list(tx)).filter(
    ({ value }) =>
      value.enter || value.commitDue || isProfileDue(context, value) || value.contactsOwed || value.receipts,
  )
  return new Set([...messages, ...commits, ...due.map(({ key }) => key)] as RoomId[])
}
