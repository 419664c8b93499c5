import { AsyncLocalStorage } from 'node:async_hooks'
import { deserialize, serialize } from 'node:v8'
import { assertFence, type Database, type Lease, type Sealer } from '../../../store/index.ts'
import { type Change, fill, forget, type IdbRecord, type IdbSchema, installIndexedDb, watch } from './idb.ts'

/**
 * Where an Olm machine's state lives: sealed rows in the database, with IndexedDB in memory as the working set. A row is
 * committed before the IndexedDB transaction that wrote it completes, under the fence of the ghost's lease.
 */
export interface CryptoStore {
  /**
   * Loads a ghost's rows and gives the name under which the Olm machine finds them. Each opening has a name of its own,
   * so that a machine that hangs or whose lease is lost can neither see nor touch what its successor does.
   */
  open(mxid: string, lease: Lease): Promise<OpenStore>
}

export interface OpenStore {
  readonly name: string
  /** What made a commit fail; from then on memory and rows differ, and the machine must be opened anew. */
  readonly fault: unknown
  /** Frees the memory. */
  close(): void
}

/** The two databases that the Olm machine opens under one store name. */
const databases = ['::matrix-sdk-crypto-meta', '::matrix-sdk-crypto'] as const

export async function openCryptoStore(database: Database, sealer: Sealer): Promise<CryptoStore> {
  await installIndexedDb()
  // A commit runs in whatever context woke the Olm machine, which may be that of somebody's open transaction.
  const outside = AsyncLocalStorage.snapshot()
  return {
    async open(mxid, lease) {
      const name = `${mxid}#${lease.fence}`
      let fault: unknown
      for (const part of databases) {
        const stored = await load(database, sealer, mxid, part)
        if (stored) await fill(name + part, stored.schema, stored.records())
        watch(name + part, async (change) => {
          try {
            if (fault) throw fault
            await outside(() => commit(database, sealer, { mxid, part, lease, change }))
          } catch (error) {
            fault ??= error
            throw error
          }
        })
      }
      return {
        name,
        get fault() {
          return fault
        },
        close() {
          fault ??= new Error('closed')
          for (const part of databases) forget(name + part)
        },
      }
    },
  }
}

const place = (mxid: string, part: string, store: string, key: string) => `ghost_crypto|${mxid}|${part}|${store}|${key}`

async function load(database: Database, sealer: Sealer, mxid: string, part: string) {
  const [row] = await database.query<{ schema: IdbSchema }>(
    'select schema from ghost_crypto_schema where mxid = $1 and database = $2',
    [mxid, part],
  )
  if (!row) return undefined
  const rows = await database.query<{ store: string; key: string; value: Uint8Array }>(
    'select store, key, value from ghost_crypto where mxid = $1 and database = $2',
    [mxid, part],
  )
  return {
    schema: row.schema,
    *records(): Iterable<IdbRecord> {
      for (const { store, key, value } of rows)
        yield { store, key: JSON.parse(key), value: deserialize(sealer.open(value, place(mxid, part, store, key))) }
    },
  }
}

/** All of one IndexedDB transaction in one of ours, and only while the ghost is ours. */
async function commit(
  database: Database,
  sealer: Sealer,
  { mxid, part, lease, change }: { mxid: string; part: string; lease: Lease; change: Change },
): Promise<void> {
  const stores: string[] = []
  const keys: string[] = []
  const values: Uint8Array[] = []
  for (const record of change.records) {
    const key = keyText(record.key)
    stores.push(record.store)
    keys.push(key)
    values.push(sealer.seal(serialize(record.value), place(mxid, part, record.store, key)))
  }
  await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    if (change.schema) {
      await tx.query('delete from ghost_crypto where mxid = $1 and database = $2', [mxid, part])
      await tx.query(
        `insert into ghost_crypto_schema (mxid, database, schema) values ($1, $2, $3)
         on conflict (mxid, database) do update set schema = excluded.schema`,
        [mxid, part, JSON.stringify(change.schema)],
      )
    }
    if (change.deleted.length > 0)
      await tx.query(
        `delete from ghost_crypto using unnest($3::text[], $4::text[]) as gone (store, key)
         where mxid = $1 and database = $2 and ghost_crypto.store = gone.store and ghost_crypto.key = gone.key`,
        [mxid, part, change.deleted.map((each) => each.store), change.deleted.map((each) => keyText(each.key))],
      )
    if (keys.length > 0)
      await tx.query(
        `insert into ghost_crypto (mxid, database, store, key, value)
         select $1, $2, * from unnest($3::text[], $4::text[], $5::bytea[])
         on conflict (mxid, database, store, key) do update set value = excluded.value`,
        [mxid, part, stores, keys, values],
      )
  })
}

/** The Olm machine uses text and numbers as keys, which JSON keeps apart. */
function keyText(key: IDBValidKey): string {
  if (typeof key !== 'string' && typeof key !== 'number') throw new TypeError('a key of this kind is not stored')
  return JSON.stringify(key)
}
