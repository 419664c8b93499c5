import { asClientError, ClientError } from '../errors.ts'
import { createMutex } from '../state/mutex.ts'
import type { Storage } from '../types.ts'
import { type Reader, stagedTransaction, type Writes } from './staged.ts'

const store = 'entries'

/**
 * Storage of one device in the browser. A Web Lock keeps a second tab out (the same MLS state used twice would reuse
 * keys): it is refused with 'storage-in-use' until the first one closes. Commits ask for strict durability, so that a
 * state is on the disk before a message made from it leaves.
 *
 * Values lie in the browser's profile as they are: what protects them is the operating system's account.
 */
export async function indexedDbStorage(name: string): Promise<Storage> {
  const release = await lock(`silta ${name}`)
  let db: IDBDatabase
  try {
    db = await open(name)
  } catch (error) {
    release()
    throw asClientError(error, 'storage')
  }
  const alone = createMutex()
  let usable = true
  // Another page asks for a newer version, or the person erased the site's data.
  db.onversionchange = () => db.close()
  const reader = readerOf(db)
  return {
    transaction: (fn) =>
      alone(async () => {
        if (!usable) throw new ClientError('closed', 'the storage is closed')
        const { tx, writes } = stagedTransaction(reader)
        const result = await fn(tx)
        if (writes.size > 0) await commit(db, writes)
        return result
      }),
    close: () =>
      alone(async () => {
        if (!usable) return
        usable = false
        db.close()
        release()
      }),
  }
}

function lock(name: string): Promise<() => void> {
  const locks = globalThis.navigator?.locks
  // A browser without Web Locks is older than the ones we serve; in it a second tab is not noticed.
  if (!locks) return Promise.resolve(() => {})
  return new Promise((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (held) => {
        if (!held) {
          reject(new ClientError('storage-in-use', 'another page holds the lock of this storage'))
          return undefined
        }
        return new Promise<void>((done) => resolve(done))
      })
      .catch(reject)
  })
}

function open(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => request.result.createObjectStore(store)
  return settled(request)
}

function readerOf(db: IDBDatabase): Reader {
  const reading = () => db.transaction(store, 'readonly').objectStore(store)
  return {
    async get(collection, key) {
      try {
        return (await settled(reading().get([collection, key]))) as Uint8Array | undefined
      } catch (error) {
        throw asClientError(error, 'storage')
      }
    },
    async list(collection, prefix) {
      // In IndexedDB's order every array is greater than every string: [collection, []] ends the collection.
      const range = IDBKeyRange.bound([collection, prefix], [collection, []])
      try {
        const entries = reading()
        const [keys, values] = await Promise.all([settled(entries.getAllKeys(range)), settled(entries.getAll(range))])
        return keys
          .map((key, i) => ({ key: (key as [string, string])[1], value: values[i] as Uint8Array }))
          .filter(({ key }) => key.startsWith(prefix))
      } catch (error) {
        throw asClientError(error, 'storage')
      }
    },
  }
}

/** Writes all or nothing, and resolves when it is on the disk. */
function commit(db: IDBDatabase, writes: Writes): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(new ClientError('storage', 'IndexedDB did not commit', { cause }))
    try {
      const transaction = db.transaction(store, 'readwrite', { durability: 'strict' })
      const entries = transaction.objectStore(store)
      for (const [collection, changes] of writes)
        for (const [key, value] of changes)
          if (value) entries.put(value, [collection, key])
          else entries.delete([collection, key])
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => fail(transaction.error)
    } catch (error) {
      fail(error)
    }
  })
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
