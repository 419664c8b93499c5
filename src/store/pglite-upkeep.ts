import type { Database, Queryable } from './database.ts'

/**
 * What a PostgreSQL server does behind everybody's back and an embedded one does not: it has no checkpointer and no
 * autovacuum. Without the first, the log would grow for as long as the process runs, and a start after a kill would read all
 * of it; without the second, the room of rows that were replaced or deleted would never be used again.
 */
interface UpkeepSettings {
  /** How often it is looked whether something is due, ms. */
  readonly everyMs: number
  /** Bytes of log after which a checkpoint is made: how much a start after a kill reads again. */
  readonly logBytes: number
  /** Dead rows, and their share of the live ones, from which on a table is vacuumed. */
  readonly deadRows: number
  readonly deadShare: number
}

const defaultUpkeep: UpkeepSettings = {
  everyMs: 15_000,
  logBytes: 64 * 1024 * 1024,
  deadRows: 2_000,
  deadShare: 0.5,
}

/** Does what is due: everybody else waits meanwhile, so at most one table is vacuumed at a time. */
export async function upkeep(
  database: Queryable,
  { logBytes, deadRows, deadShare }: Omit<UpkeepSettings, 'everyMs'> = defaultUpkeep,
): Promise<void> {
  const [table] = await database.query<{ name: string }>(
    `select relid::regclass::text as name from pg_stat_user_tables
      where n_dead_tup >= $1::int8 and n_dead_tup >= $2::float8 * n_live_tup order by n_dead_tup desc limit 1`,
    [deadRows, deadShare],
  )
  // A name out of the catalogue, quoted by it.
  if (table) await database.query(`vacuum (analyze) ${table.name}`)
  const [log] = await database.query<{ bytes: number }>(
    'select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::int8 as bytes from pg_control_checkpoint()',
  )
  if ((log?.bytes ?? 0) >= logBytes) await database.query('checkpoint')
}

/** The same database, with its upkeep until it is closed. */
export function keptUp<D extends Database>(database: D, onFault: ((fault: unknown) => void) | undefined): D {
  let running: Promise<void> | undefined
  const timer = setInterval(() => {
    running ??= upkeep(database)
      .catch((fault: unknown) => onFault?.(fault))
      .finally(() => {
        running = undefined
      })
  }, defaultUpkeep.everyMs)
  timer.unref()
  return {
    ...database,
    async close() {
      clearInterval(timer)
      await running
      await database.close()
    },
  }
}
