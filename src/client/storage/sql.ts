import type { Database, Sealer, Transaction } from '../../store/index.ts'
import { asClientError } from '../errors.ts'
import { createMutex } from '../state/mutex.ts'
import type { Storage, StorageTx } from '../types.ts'

export interface SqlStorageOptions {
  /** Runs first in each transaction and throws to forbid it: where a worker checks that its lease still holds. */
  guard?: (tx: Transaction) => Promise<void>
}

/**
 * Storage of one device in the table `device_state` of an edge's database, under a namespace of its own. Values are
 * sealed with their place as additional data, so that no row can be put in place of another.
 * `tx.application` is the database transaction: rows that the application writes in it commit with the device's.
 */
export function sqlStorage(
  database: Database,
  sealer: Sealer,
  namespace: string,
  options: SqlStorageOptions = {},
): Storage {
  const alone = createMutex()
  return {
    transaction: (fn) =>
      alone(() =>
        database.transaction(async (sql) => {
          await options.guard?.(sql)
          return fn(transactionOver(sql, sealer, namespace))
        }),
      ),
    close: () => alone(async () => {}),
  }
}

function transactionOver(sql: Transaction, sealer: Sealer, namespace: string): StorageTx {
  const context = (collection: string, key: string) => `device_state|${namespace}|${collection}|${key}`
  const open = (collection: string, key: string, sealed: Uint8Array) => {
    try {
      return sealer.open(sealed, context(collection, key))
    } catch (error) {
      throw asClientError(error, 'storage')
    }
  }
  return {
    application: sql,
    async get(collection, key) {
      const [row] = await sql.query<{ value: Uint8Array }>(
        'select value from device_state where namespace = $1 and collection = $2 and key = $3',
        [namespace, collection, key],
      )
      return row && open(collection, key, row.value)
    },
    async put(collection, key, value) {
      await sql.query(
        `insert into device_state (namespace, collection, key, value) values ($1, $2, $3, $4)
         on conflict (namespace, collection, key) do update set value = excluded.value`,
        [namespace, collection, key, sealer.seal(value, context(collection, key))],
      )
    },
    async delete(collection, key) {
      await sql.query('delete from device_state where namespace = $1 and collection = $2 and key = $3', [
        namespace,
        collection,
        key,
      ])
    },
    async list(collection, prefix = '', limit) {
      const rows = await sql.query<{ key: string; value: Uint8Array }>(
        `select key, value from device_state
         where namespace = $1 and collection = $2 and starts_with(key, $3) order by key limit $4`,
        [namespace, collection, prefix, limit ?? null],
      )
      return rows.map(({ key, value }) => ({ key, value: open(collection, key, value) }))
    },
  }
}
