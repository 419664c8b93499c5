import type { Transaction } from '../store/index.ts'

/**
 * How far a room's numbers jump. More than any room gets entries between a backup and its use, so that no number is given
 * a second time; a device that has seen a number in between knows that it knows more.
 */
const jump = 2 ** 32

/**
 * Adapts the hub's tables after its database was put back from a backup (design: an incarnation).
 *
 * KeyPackages may have been handed out since: each is for one use, so devices bring new ones. Entries after the backup are
 * lost and their numbers are never given again. Runs in one transaction, with nobody connected; time grows with the number
 * of rooms.
 */
export async function putBackHub(tx: Transaction): Promise<void> {
  await tx.query('delete from hub.key_package where not last_resort')
  await tx.query('delete from hub.link')
  await tx.query(
    `update hub.room set lost_after = coalesce(lost_after, next_seq - 1), lost_before = next_seq + $1::int8,
                         next_seq = next_seq + $1::int8`,
    [jump],
  )
}
