import type { Transaction } from '../store/index.ts'

/**
 * Adapts the edge's tables after its database was put back from a backup.
 *
 * What waited then was carried in the time that is lost, so far as it could be: to send it again would show people old
 * messages twice, under keys that are gone. Devices and ghosts adapt themselves with their next use: the one enters its
 * rooms anew, the other gets a new cross-signed device (`incarnation` in both). A ghost that was being made is made anew.
 */
export async function putBackEdge(tx: Transaction): Promise<void> {
  // How far rooms were taken is not known any more; from where the backup was they would be carried a second time.
  const gaps = ['appservice_room', 'appservice_read_back']
  for (const table of ['appservice_event', ...gaps, 'portal_outbox', 'portal_ahead', 'portal_read', 'ghost_inbox'])
    await tx.query(`delete from ${table}`)
  // What was said in the time that is lost is missing for all who are in a group, and none of its devices sees that by itself.
  await tx.query(
    `update group_portal set gap = true, changes = changes + 1
      where portal in (select id from portal where state <> 'ended')`,
  )
  await tx.query('delete from group_unread')
  // Every device has to enter its rooms anew, whether or not something comes for it.
  await tx.query('update matrix_user set due_at = 0')
  await tx.query("delete from ghost where not ready and account <> 'bot'")
}
