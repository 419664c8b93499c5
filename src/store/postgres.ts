import pg from 'pg'
import type { Database, DatabaseSettings, Queryable, Transaction } from './database.ts'
import { fromDriver, StoreError } from './errors.ts'
import { migrate } from './migrations.ts'
import { statementNames } from './statement-names.ts'
import { afterCommits, giveTransaction, guard } from './transactions.ts'
import { bytea, byteaArray, checkParameters, int8, int8Array, parseBytea, parseInt8, plainBytes } from './values.ts'

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
    application_name: 'silta',
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
      await client.query('set statement_timeout = 0')
      await migrate(
        {
          query: async (text, parameters = []) => (await client.query(text, [...parameters])).rows as never,
          script: async (text) => {
            await client.query(text)
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
  const run = (runner: pg.Pool | pg.PoolClient): Queryable['query'] => {
    return async <Row>(text: string, parameters: readonly unknown[] = []) => {
      const values = checkParameters(parameters)
      const name = nameOf(text)
      try {
        return (await runner.query(name ? { name, text, values } : { text, values })).rows as Row[]
      } catch (error) {
        throw fromDriver(error)
      }
    }
  }
  const queryPool = run(pool)
  return {
    dialect: 'postgres',
    async query<Row>(text: string, parameters?: readonly unknown[]) {
      scope.outside()
      return queryPool<Row>(text, parameters)
    },
    async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
      scope.outside()
      const callbacks = afterCommits(settings.onFault)
      const result = await scope.inside(() =>
        onOneConnection(pool, (client) => giveTransaction(run(client), callbacks.add, work)),
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

async function onOneConnection<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw fromDriver(error)
  })
  let broken = false
  const onError = () => {
    broken = true
  }
  client.on('error', onError)
  const control = async (statement: 'begin' | 'commit' | 'rollback') => {
    try {
      return (await client.query(statement)).command
    } catch (error) {
      broken = true
      throw fromDriver(error)
    }
  }
  try {
    await control('begin')
    let result: T
    try {
      result = await work(client)
    } catch (error) {
      if (!broken) await control('rollback').catch(() => undefined)
      throw error
    }
    // The server answers a commit of a failed transaction with a rollback, as if all were well.
    if ((await control('commit')) === 'ROLLBACK')
      throw new StoreError('aborted', 'a statement had failed inside the transaction; nothing was committed')
    return result
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}
