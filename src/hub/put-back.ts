import type { Transaction } from '../store/index.ts'

/**
 * How far a room's numbers jump at least. More than any room gets entries between a backup and its use, so that no number is
 * given a second time; a device that has seen a number in between knows that it knows more.
 */
const jump = 2 ** 32
/**
 * Numbers begin where the clock is, so many for each second: a backup that is put back a second time does not give the numbers
 * again that it gave after the first. Below 2^53 for two hundred years.
 */
const numbersPerSecond = 2 ** 20

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
    `with put_back as (
       select no, next_seq - 1 as after_seq, greatest(next_seq + $1::int8, now_ms() / 1000 * $2::int8) as before_seq
         from hub.room
     ), noted as (
       insert into hub.lost (room_no, after_seq, before_seq) select no, after_seq, before_seq from put_back
     )
     update hub.room r set lost_after = coalesce(r.lost_after, b.after_seq), lost_before = b.before_seq,
                           next_seq = b.before_seq
       from put_back b where b.no = r.no`,
    [jump, numbersPerSecond],
  )
}
