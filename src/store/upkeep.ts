import type { Queryable } from './database.ts'

export interface UpkeepSettings {
  /**
   * Transactions and single statements between two looks. 2,000: a look takes about 30 ms, which is then nothing beside
   * what it looks after, and a busy queue has replaced each of its rows some ten times.
   */
  readonly every: number
  /** Rows replaced, deleted or new in a table since it was last seen to; beside `changedShare`. As autovacuum has it. */
  readonly changedRows: number
  /** Of the table's rows: what it takes to go through a large table must be worth it. 0.2, as autovacuum has it. */
  readonly changedShare: number
  /** Bytes of log that a start after a crash reads again at most, roughly; 32 MB take it about a second. */
  readonly logBytes: number
  /**
   * Transactions since the oldest one that some row still names, after which all tables are gone through. 200 million, as
   * autovacuum has it: after 2 billion such rows would seem to be of the future.
   */
  readonly freezeAfter: number
}

export const usualUpkeep: UpkeepSettings = {
  every: 2_000,
  changedRows: 1_000,
  changedShare: 0.2,
  logBytes: 32 * 1024 * 1024,
  freezeAfter: 200_000_000,
}

export interface Upkeep {
  /** Something was done in the database; now and then that is the moment to look. */
  worked(): void
  /** Begins nothing more, and resolves when what is under way has ended. */
  stop(): Promise<void>
}

/**
 * What PostgreSQL's background processes do for a database, and nobody does for an embedded one, which is one process
 * without any: rows that were replaced are cleared away (autovacuum), the planner is told how large the tables have become,
 * so that a plan that was made for an empty one is given up (autoanalyze), the log is cut off (checkpointer), and numbers of
 * transactions, which come again after four billion, are taken out of old rows (PostgreSQL documentation, "Preventing
 * Transaction ID Wraparound Failures"). Each statement takes a turn of its own, so that others wait for one table at most.
 *
 * @param run takes the database's only connection for one statement
 * @param onFault told of what failed; it is tried again at the next look
 */
export function keepUp(run: Queryable['query'], settings: UpkeepSettings, onFault: (fault: unknown) => void): Upkeep {
  let work = 0
  let stopped = false
  let running: Promise<void> | undefined
  /** What cannot be seen to is no reason to leave the rest. */
  const see = async (statement: string) => {
    if (!stopped) await run(statement).catch(onFault)
  }
  const look = async () => {
    // Counts reach the view when a statement has ended after this one.
    await run('select pg_stat_force_next_flush()')
    const changed = await run<{ name: string }>(changedTables, [settings.changedRows, settings.changedShare])
    for (const { name } of changed) await see(`vacuum (analyze, parallel 0) ${name}`)
    const [log] = await run<{ bytes: number }>(logSinceCheckpoint)
    if (log!.bytes >= settings.logBytes) await see('checkpoint')
    const [age] = await run<{ age: number }>(ageOfDatabase)
    if (age!.age >= settings.freezeAfter)
      for (const { name } of await run<{ name: string }>(allTables)) await see(`vacuum (freeze, parallel 0) ${name}`)
  }
  return {
    worked() {
      if (++work < settings.every || running || stopped) return
      work = 0
      running = look()
        .catch(onFault)
        .finally(() => {
          running = undefined
        })
    },
    async stop() {
      stopped = true
      await running
    },
  }
}

const changedTables = `
  select format('%I.%I', s.schemaname, s.relname) as name
    from pg_stat_user_tables s join pg_class c on c.oid = s.relid
   where greatest(s.n_dead_tup, s.n_mod_since_analyze) > $1::int8 + $2::float8 * greatest(c.reltuples, 0)`

const ageOfDatabase = 'select age(datfrozenxid)::int8 as age from pg_database where datname = current_database()'

/** Those of the server itself too; the parts that large values lie in (TOAST) go with their tables. */
const allTables = `
  select format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'm') and c.relpersistence = 'p'`

const logSinceCheckpoint = `
  select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::int8 as bytes from pg_control_checkpoint()`
