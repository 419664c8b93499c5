import pg from 'pg'
import type { Database, DatabaseSettings, Transaction } from './database.ts'
import { fromDriver } from './errors.ts'
import { migrate } from './migrations.ts'
import { statementNames } from './statement-names.ts'
import { type Answer, afterCommits, guard, inTransaction, type Send, type Statement } from './transactions.ts'
import { bytea, byteaArray, checkParameters, int8, int8Array, parseBytea, parseInt8, plainBytes } from './values.ts'

/** Longest time that a timer of Node counts, ms. */
const longestTimer = 2 ** 31 - 1

/** PostgreSQL by node-postgres, with a pool of connections. */
export async function openPostgres(
  url: string,
  settings: DatabaseSettings & { readonly migrations?: URL | undefined },
): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: url,
    max: settings.connections ?? 10,
    connectionTimeoutMillis: settings.connectionTimeoutMs ?? 10_000,
    statement_timeout: settings.statementTimeoutMs ?? 60_000,
    // A transaction whose process hangs must not hold its locks for ever.
    idle_in_transaction_session_timeout: settings.statementTimeoutMs ?? 60_000,
    // Nor a server that is gone without a word those who wait for its answer.
    query_timeout: settings.answerTimeoutMs ?? 180_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: settings.keepAliveMs ?? 10_000,
    application_name: 'silta',
    // What is asked for at once is sent at once: a transaction's statements then share their way there and back.
    pipeline: true,
    types: { getTypeParser } as pg.CustomTypesConfig,
  })
  // Without a listener the loss of a connection would end the process: of an idle one, and of one that is lost in the moment
  // between being made or handed out and its first statement, which then fails.
  pool.on('error', (error) => settings.onFault?.(fromDriver(error)))
  pool.on('connect', (client) => client.on('error', () => {}))
  try {
    const client = await pool.connect()
    try {
      // Migrations may rewrite a large table.
      const ask = (query: pg.QueryConfig) => client.query({ ...query, query_timeout: longestTimer } as pg.QueryConfig)
      await ask({ text: 'set statement_timeout = 0' })
      await migrate(
        {
          query: async (text, parameters = []) => (await ask({ text, values: [...parameters] })).rows as never,
          script: async (text) => {
            await ask({ text })
          },
        },
        settings.migrations,
      )
    } finally {
      client.release(true)
    }
  } catch (error) {
    await pool.end()
    throw fromDriver(error)
  }
  return database(pool, settings)
}

const textArray: (text: string) => (string | null)[] = pg.types.getTypeParser(1009 as never)
const orNull =
  <T>(parse: (text: string) => T) =>
  (text: string | null) =>
    text === null ? null : parse(text)

const parsers: Record<number, (text: string) => unknown> = {
  [int8]: parseInt8,
  [bytea]: parseBytea,
  [int8Array]: (text) => textArray(text).map(orNull(parseInt8)),
  [byteaArray]: (text) => textArray(text).map(orNull(parseBytea)),
}

function getTypeParser(type: number, format?: 'text' | 'binary'): (value: never) => unknown {
  if (format === 'binary') return (value: Buffer) => plainBytes(value)
  return parsers[type] ?? pg.types.getTypeParser(type as never, 'text')
}

function database(pool: pg.Pool, settings: DatabaseSettings): Database {
  const scope = guard()
  const nameOf = settings.prepare === false ? () => undefined : statementNames()
  const toDriver = ({ text, parameters }: Statement): pg.QueryConfig => {
    const name = parameters.length === 0 ? undefined : nameOf(text)
    return { text, values: checkParameters(parameters), ...(name !== undefined && { name }) }
  }
  return {
    dialect: 'postgres',
    async query<Row>(text: string, parameters: readonly unknown[] = []) {
      scope.outside()
      const query = toDriver({ text, parameters })
      try {
        return (await pool.query(query)).rows as Row[]
      } catch (error) {
        throw fromDriver(error)
      }
    },
    async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
      scope.outside()
      const callbacks = afterCommits(settings.onFault)
      const result = await scope.inside(() =>
        onOneConnection(pool, toDriver, (send) => inTransaction(send, callbacks.add, work)),
      )
      callbacks.run()
      return result
    },
    async close() {
      if (!scope.close()) return
      await scope.idle()
      await pool.end()
    },
  }
}

async function onOneConnection<T>(
  pool: pg.Pool,
  toDriver: (statement: Statement) => pg.QueryConfig,
  work: (send: Send) => Promise<T>,
): Promise<T> {
  let client: pg.PoolClient | undefined
  let broken = false
  const onError = () => {
    broken = true
  }
  /** Work that finds all it needs in memory takes no connection. */
  const connect = async () => {
    const fresh = await pool.connect().catch((error: unknown) => {
      throw fromDriver(error)
    })
    fresh.on('error', onError)
    return fresh
  }
  const send: Send = async (statements) => {
    // Nothing was begun where no connection was to be had, and nothing is left where it broke.
    if ((client === undefined || broken) && statements[0]?.text === 'rollback') return []
    // All are looked at before one is sent.
    const queries = statements.map(toDriver)
    const on = client ?? (await connect())
    client = on
    const answers: Answer[] = []
    for (const flight of flights(statements)) {
      const settled = await Promise.allSettled(flight.map((index) => on.query(queries[index]!)))
      for (const [place, each] of settled.entries()) {
        if (each.status === 'fulfilled') answers.push(each.value)
        else {
          broken ||= isOver(each.reason) || statements[flight[place]!]!.text === 'rollback'
          throw fromDriver(each.reason)
        }
      }
    }
    return answers
  }
  try {
    return await work(send)
  } finally {
    client?.off('error', onError)
    client?.release(broken)
  }
}

/**
 * Which of these statements, by their places, are sent together, without waiting for each other's answers. The driver ends
 * each with a Sync (PostgreSQL documentation, "Pipelining"): were a `begin` refused, what came behind it in the same
 * flight would be a transaction of its own. So nothing that writes goes out before the beginning was answered.
 */
function flights(statements: readonly Statement[]): number[][] {
  const places = [...statements.keys()]
  const writes = statements.findIndex(({ text }, place) => place > 0 && !/^\s*select\b/i.test(text))
  if (statements[0]?.text !== 'begin' || writes < 0) return [places]
  return [places.slice(0, writes), places.slice(writes)]
}

/** SQLSTATE of a prepared statement that does not fit the schema any more, or that the server does not know. */
const stale: ReadonlySet<unknown> = new Set(['0A000', '26000'])

/** Whether a connection on which this was said is good for nothing more. */
function isOver(reason: unknown): boolean {
  const { severity, code } = reason as { severity?: unknown; code?: unknown }
  return severity === 'FATAL' || severity === 'PANIC' || stale.has(code)
}
