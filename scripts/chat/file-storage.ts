import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ClientError, type Storage, type StorageTx } from '../../src/client/index.ts'

/** SQLite's result code for a file that another connection holds. */
const SQLITE_BUSY = 5

/**
 * A device's state in one SQLite file, for a client that runs on a person's own machine. Durable when a transaction's
 * promise resolves. One process at a time: a second opening is refused with `storage-in-use`, since two would use the
 * same ratchets twice. The kernel frees the lock when the process dies.
 */
export async function fileStorage(path: string): Promise<Storage> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(path)
  try {
    // Exclusive before WAL: so the lock is held from the first access on, and no shared-memory file is needed.
    database.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full')
    database.exec('begin exclusive')
    database.exec(
      'create table if not exists entry (collection text, key text, value blob, primary key (collection, key))',
    )
    database.exec('commit')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error
    throw new ClientError('storage-in-use', 'another process has this storage open')
  }
  chmodSync(path, 0o600)
  return openStorage(database)
}

function openStorage(database: DatabaseSync): Storage {
  const tx = entries(database)
  let last: Promise<unknown> = Promise.resolve()
  let open = true
  const alone = <T>(run: () => Promise<T>): Promise<T> => {
    const result = last.then(run)
    last = result.catch(() => {})
    return result
  }
  return {
    transaction: (fn) =>
      alone(async () => {
        if (!open) throw new ClientError('closed', 'the storage is closed')
        database.exec('begin immediate')
        try {
          const result = await fn(tx)
          database.exec('commit')
          return result
        } catch (error) {
          database.exec('rollback')
          throw error
        }
      }),
    close: () =>
      alone(async () => {
        if (open) database.close()
        open = false
      }),
  }
}

function entries(database: DatabaseSync): StorageTx {
  const get = database.prepare('select value from entry where collection = ? and key = ?')
  const put = database.prepare('insert or replace into entry (collection, key, value) values (?, ?, ?)')
  const remove = database.prepare('delete from entry where collection = ? and key = ?')
  const list = database.prepare('select key, value from entry where collection = ? and substr(key, 1, ?) = ?')
  return {
    async get(collection, key) {
      return get.get(collection, key)?.value as Uint8Array | undefined
    },
    async put(collection, key, value) {
      put.run(collection, key, value)
    },
    async delete(collection, key) {
      remove.run(collection, key)
    },
    async list(collection, prefix = '', limit = Number.POSITIVE_INFINITY) {
      // SQLite counts characters and orders by UTF-8; the contract orders by UTF-16 code units.
      const rows = list.all(collection, [...prefix].length, prefix) as { key: string; value: Uint8Array }[]
      return rows
        .map(({ key, value }) => ({ key, value }))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .slice(0, limit)
    },
  }
}
