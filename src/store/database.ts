/**
 * Runs one statement of SQL with parameters `$1`, `$2`, … and gives its rows. The same on both dialects: bytea is
 * Uint8Array, int8 is number (a value beyond 2^53 is refused with `value`), numeric is text, arrays are arrays. Times are
 * int8 milliseconds since the epoch by convention, so that no time zone takes part. Parameters are text, numbers, booleans,
 * bytes, null and lists of them; JSON goes in as text and comes out parsed.
 *
 * @throws StoreError
 */
export interface Queryable {
  query<Row = Record<string, unknown>>(text: string, parameters?: readonly unknown[]): Promise<Row[]>
}

/** Statements that are asked for at once go to the server together, in one round trip, and run in their order. */
export interface Transaction extends Queryable {
  /**
   * Runs a statement whose rows the work does not wait for: it goes to the server together with the next one that is
   * waited for, or with the commit, in one round trip. When it fails, the transaction fails with its error.
   *
   * @param take is given its rows, before any callback after the commit; must not throw. Rows that may hold a number beyond
   *   2^53 are asked for by `query`: by the time that they are read here, the commit may have happened
   */
  write<Row = Record<string, unknown>>(
    text: string,
    parameters?: readonly unknown[],
    take?: (rows: Row[]) => void,
  ): void
  /**
   * Runs at the end of the transaction's work, in the order of registration, when that has not thrown: what was gathered
   * meanwhile is written at once. What it throws undoes the transaction.
   */
  beforeCommit(last: () => Promise<void>): void
  /**
   * Runs after the commit, in the order of registration, before `transaction` gives its result; never after a rollback.
   * For wake-ups and the like: what it throws is reported and changes nothing.
   */
  afterCommit(callback: () => void): void
}

export interface Database extends Queryable {
  readonly dialect: 'pglite' | 'postgres'
  /**
   * Runs `work` in one transaction (READ COMMITTED): committed when it returns, rolled back when it throws. Inside it use
   * the transaction only: PGlite has one connection, so a query on the database would wait for itself; it is refused with
   * `nested`. Never await the network inside: everybody else waits.
   *
   * @throws StoreError; whatever `work` throws passes through unchanged.
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  /**
   * Embedded, in a folder: copies the database as of one moment into a folder that does not exist yet; everybody else
   * waits meanwhile. PostgreSQL has tools of its own for this.
   */
  backup?(folder: string): Promise<void>
  /** Waits for running transactions, then closes. Later use is refused with `closed`. */
  close(): Promise<void>
}

export interface DatabaseSettings {
  /** PostgreSQL connection URL. */
  readonly url?: string | undefined
  /** Folder of an embedded database, created when missing; `memory://` keeps it in memory, for tests. */
  readonly directory?: string | undefined
  /** Connections to PostgreSQL. 10: PostgreSQL allows 100 in all by default, and several processes share them. */
  readonly connections?: number | undefined
  /** Milliseconds to wait for a free connection. 10 s: longer means that the database is down or the pool is stuck. */
  readonly connectionTimeoutMs?: number | undefined
  /** Milliseconds one statement may take. 60 s: migrations apart, ours take milliseconds. */
  readonly statementTimeoutMs?: number | undefined
  /**
   * Milliseconds to wait for the answer to a statement, others before it included. 3 min, three of the longest: the server has
   * given up by then, so it is gone, and the connection is closed.
   */
  readonly answerTimeoutMs?: number | undefined
  /** Milliseconds of silence after which TCP asks whether the server is still there. 10 s. */
  readonly keepAliveMs?: number | undefined
  /** False behind a pooler that gives each transaction another connection. */
  readonly prepare?: boolean | undefined
  /** Told of faults that no caller is waiting for: a broken idle connection, a callback after commit that threw. */
  readonly onFault?: ((fault: unknown) => void) | undefined
}
