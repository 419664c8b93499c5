import type { Queryable, Transaction } from './database.ts'

/** Which life of this database it is, since it was put back from a backup; 0: it never was. Later ones are greater. */
export async function currentIncarnation(on: Queryable): Promise<number> {
  const [row] = await on.query<{ no: number }>('select coalesce(max(no), 0) as no from incarnation')
  return row?.no ?? 0
}

/**
 * Notes that the database was put back from a backup: from here on others know more than it does. In the transaction in
 * which each module adapts what it keeps.
 *
 * Its number is the second in which it begins: the same backup can be put back again, and others must notice that as well.
 *
 * @returns how many incarnations this database knows of, 1 for the first
 */
export async function beginIncarnation(tx: Transaction): Promise<number> {
  const [row] = await tx.query<{ no: number }>(
    `insert into incarnation (no, began_at)
       select greatest(coalesce(max(no), 0) + 1, now_ms() / 1000), now_ms() from incarnation
     returning (select count(*) from incarnation) + 1 as no`,
  )
  return row!.no
}
