import type { Queryable, Transaction } from './database.ts'

/** How often this database was put back from a backup; 0: never. */
export async function currentIncarnation(on: Queryable): Promise<number> {
  const [row] = await on.query<{ no: number }>('select coalesce(max(no), 0) as no from incarnation')
  return row?.no ?? 0
}

/**
 * Notes that the database was put back from a backup: from here on others know more than it does. In the transaction in
 * which each module adapts what it keeps.
 *
 * @returns the number of the new incarnation, 1 for the first
 */
export async function beginIncarnation(tx: Transaction): Promise<number> {
  const [row] = await tx.query<{ no: number }>(
    'insert into incarnation (no, began_at) select coalesce(max(no), 0) + 1, now_ms() from incarnation returning no',
  )
  return row!.no
}
