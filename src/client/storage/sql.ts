import type { Database, Sealer, Transaction } from '../../store/index.ts'
import { asClientError } from '../errors.ts'
import { createMutex } from '../state/mutex.ts'
import { seldomRead } from '../state/records.ts'
import type { Storage } from '../types.ts'
import { type Reader, stagedTransaction, type Writes } from './staged.ts'

export interface SqlStorageOptions {
  /**
   * Runs in each transaction that has written, after its work, and throws to forbid it: where a worker checks that its
   * lease still holds. One that has only read needs no such check, nor a commit that is forced to disk.
   */
  guard?: (tx: Transaction) => void | Promise<void>
  /** Records that are kept opened in memory; give many storages of one process the same one. */
  cache?: RecordCache
}

/** Opened records in memory, the least recently used first to go. `null`: there is no such record. */
export interface RecordCache {
  get(key: string): Uint8Array | null | undefined
  set(key: string, value: Uint8Array | null): void
  delete(key: string): void
}

/** What a key costs besides its value, bytes. */
const keyBytes = 200

/** @param mostBytes of keys and values together */
export function recordCache(mostBytes: number): RecordCache {
  const entries = new Map<string, Uint8Array | null>()
  let bytes = 0
  const sizeOf = (value: Uint8Array | null) => keyBytes + (value?.length ?? 0)
  const drop = (key: string) => {
    const value = entries.get(key)
    if (value === undefined) return
    entries.delete(key)
    bytes -= sizeOf(value)
  }
  return {
    get(key) {
      const value = entries.get(key)
      if (value === undefined) return undefined
      entries.delete(key)
      entries.set(key, value)
      return value
    },
    set(key, value) {
      drop(key)
      // One large record would put all others out: trees of large groups are read seldom.
      if (sizeOf(value) > mostBytes / 64) return
      entries.set(key, value)
      bytes += sizeOf(value)
      for (const oldest of entries.keys()) {
        if (bytes <= mostBytes) break
        drop(oldest)
      }
    },
    delete: drop,
  }
}

/** Which keys there are with a beginning, of those that were looked for: kept as committed transactions change them. */
function keyLists() {
  const lists = new Map<string, { collection: string; prefix: string; keys: string[] }>()
  return {
    get: (collection: string, prefix: string) => lists.get(`${collection} ${prefix}`)?.keys,
    /** What was read: all there are. */
    keep(collection: string, prefix: string, keys: string[]) {
      if (keys.length > longestList) return
      if (lists.size >= mostLists) lists.clear()
      lists.set(`${collection} ${prefix}`, { collection, prefix, keys })
    },
    follow(writes: Writes) {
      for (const [name, list] of lists) {
        const changes = [...(writes.get(list.collection) ?? [])].filter(([key]) => key.startsWith(list.prefix))
        if (changes.length === 0) continue
        const keys = new Set(list.keys)
        for (const [key, value] of changes) {
          if (value) keys.add(key)
          else keys.delete(key)
        }
        if (keys.size > longestList) lists.delete(name)
        else list.keys = [...keys].sort()
      }
    },
    clear: () => lists.clear(),
  }
}

/** Of a storage; each is asked for again and again, as the messages of a room that wait. */
const mostLists = 64
const longestList = 64

/** Of a storage that is given none to share: a few conversations. */
const ownCacheBytes = 1024 * 1024
/** Storages opened in this process so far. */
let openings = 0

/**
 * Storage of one device in the table `device_state` of an edge's database, under a namespace of its own. Values are
 * sealed with their place as additional data, so that no row can be put in place of another.
 * `tx.application` is the database transaction: rows that the application writes in it commit with the device's.
 *
 * What a transaction writes is kept until it ends and goes out in one statement, and what it read and wrote is kept for
 * the next: nobody else writes a device's records while its guard holds. After a failure nothing of that is believed.
 */
export function sqlStorage(
  database: Database,
  sealer: Sealer,
  namespace: string,
  options: SqlStorageOptions = {},
): Storage {
  const alone = createMutex()
  const cache = options.cache ?? recordCache(ownCacheBytes)
  // Between two openings another process may have had the device.
  const opening = ++openings
  let failures = 0
  const lists = keyLists()
  const cached = (collection: string, key: string) => `${opening}.${failures} ${collection} ${key}`
  return {
    transaction: (fn) =>
      alone(async () => {
        try {
          const { result, writes } = await database.transaction(async (sql) => {
            const { tx, writes } = stagedTransaction(readerOver(sql, sealer, namespace, cache, lists, cached))
            let given = false
            const result = await fn({
              ...tx,
              get application() {
                given = true
                return sql
              },
            })
            if (given || writes.size > 0) await options.guard?.(sql)
            write(sql, sealer, namespace, writes)
            return { result, writes }
          })
          for (const [collection, entries] of writes)
            for (const [key, value] of entries) {
              // What was deleted is gone for good, as a rule: a message that was sent has no number that comes again.
              if (value && !seldomRead.has(collection)) cache.set(cached(collection, key), value)
              else cache.delete(cached(collection, key))
            }
          lists.follow(writes)
          return result
        } catch (error) {
          // A commit whose answer was lost may have happened all the same.
          failures += 1
          lists.clear()
          throw error
        }
      }),
    close: () => alone(async () => {}),
  }
}

const placeOf = (namespace: string, collection: string, key: string) => `device_state|${namespace}|${collection}|${key}`

function readerOver(
  sql: Transaction,
  sealer: Sealer,
  namespace: string,
  cache: RecordCache,
  lists: ReturnType<typeof keyLists>,
  cached: (collection: string, key: string) => string,
): Reader {
  const open = (collection: string, key: string, sealed: Uint8Array) => {
    try {
      return sealer.open(sealed, placeOf(namespace, collection, key))
    } catch (error) {
      throw asClientError(error, 'storage')
    }
  }
  /** Keys that were asked for in this turn, and the answer to all of them. */
  const asked = new Map<string, { keys: Set<string>; found: Promise<Map<string, Uint8Array>> }>()
  const read = async (collection: string) => {
    // What is asked for at once is read by one statement.
    await Promise.resolve()
    const keys = [...asked.get(collection)!.keys]
    asked.delete(collection)
    const rows = await sql.query<{ key: string; value: Uint8Array }>(
      'select key, value from device_state where namespace = $1 and collection = $2 and key = any($3::text[])',
      [namespace, collection, keys],
    )
    const found = new Map(rows.map(({ key, value }) => [key, open(collection, key, value)]))
    if (!seldomRead.has(collection)) for (const key of keys) cache.set(cached(collection, key), found.get(key) ?? null)
    return found
  }
  const get = async (collection: string, key: string): Promise<Uint8Array | undefined> => {
    const known = cache.get(cached(collection, key))
    if (known !== undefined) return known?.slice()
    let together = asked.get(collection)
    if (together === undefined) {
      const keys = new Set<string>()
      together = { keys, found: Promise.resolve(new Map()) }
      asked.set(collection, together)
      together.found = read(collection)
    }
    together.keys.add(key)
    return (await together.found).get(key)?.slice()
  }
  return {
    get,
    async list(collection, prefix, limit) {
      const known = lists.get(collection, prefix)
      if (known !== undefined) {
        const keys = known.slice(0, limit)
        const values = await Promise.all(keys.map((key) => get(collection, key)))
        return keys.flatMap((key, index) => (values[index] ? [{ key, value: values[index] }] : []))
      }
      const rows = await sql.query<{ key: string; value: Uint8Array }>(
        `select key, value from device_state
         where namespace = $1 and collection = $2 and starts_with(key, $3) order by key limit $4`,
        [namespace, collection, prefix, limit ?? null],
      )
      if (limit === undefined || rows.length < limit)
        lists.keep(
          collection,
          prefix,
          rows.map(({ key }) => key),
        )
      return rows.map(({ key, value }) => ({ key, value: open(collection, key, value) }))
    },
  }
}

/** All that a transaction changed, in at most one statement of each kind. */
function write(sql: Transaction, sealer: Sealer, namespace: string, writes: Writes): void {
  const put: [collections: string[], keys: string[], values: Uint8Array[]] = [[], [], []]
  const gone: [collections: string[], keys: string[]] = [[], []]
  for (const [collection, entries] of writes)
    for (const [key, value] of entries) {
      const [collections, keys] = value ? put : gone
      collections.push(collection)
      keys.push(key)
      if (value) put[2].push(sealer.seal(value, placeOf(namespace, collection, key)))
    }
  if (put[0].length > 0)
    sql.write(
      `insert into device_state (namespace, collection, key, value)
       select $1, * from unnest($2::text[], $3::text[], $4::bytea[])
       on conflict (namespace, collection, key) do update set value = excluded.value`,
      [namespace, ...put],
    )
  if (gone[0].length > 0)
    sql.write(
      `delete from device_state using unnest($2::text[], $3::text[]) as gone (c, k)
       where namespace = $1 and collection = gone.c and key = gone.k`,
      [namespace, ...gone],
    )
}
