import { AsyncLocalStorage } from 'node:async_hooks'
import { deserialize, serialize } from 'node:v8'
import { type Crypto, toBase64Url, utf8 } from '../../../crypto/index.ts'
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
   *
   * @param key the ghost's own, 32 bytes
   */
  open(mxid: string, lease: Lease, key: Uint8Array): Promise<OpenStore>
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

export async function openCryptoStore(database: Database, sealer: Sealer, crypto: Crypto): Promise<CryptoStore> {
  await installIndexedDb()
  // A commit runs in whatever context woke the Olm machine, which may be that of somebody's open transaction.
  const outside = AsyncLocalStorage.snapshot()
  return {
    async open(mxid, lease, key) {
      const name = `${mxid}#${lease.fence}`
      let fault: unknown
      for (const part of databases) {
        const rows: Rows = {
          mxid,
          part,
          // Some names of records are Matrix ids in the clear, so the column has a digest and the name is sealed too.
          nameOf: (store, of) => toBase64Url(crypto.hmacSha256(key, utf8(`${part}|${store}|${keyText(of)}`))),
          seal: (store, row, record) => sealer.seal(serialize(record), place(mxid, part, store, row)),
          open: (store, row, sealed) => deserialize(sealer.open(sealed, place(mxid, part, store, row))),
        }
        const stored = await load(database, rows)
        if (stored) await fill(name + part, stored.schema, stored.records())
        watch(name + part, async (change) => {
          try {
            if (fault) throw fault
            await outside(() => commit(database, rows, lease, change))
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

/** One of a ghost's databases, as rows. */
interface Rows {
  readonly mxid: string
  readonly part: string
  nameOf(store: string, key: IDBValidKey): string
  seal(store: string, row: string, record: Sealed): Uint8Array
  open(store: string, row: string, sealed: Uint8Array): Sealed
}

type Sealed = [key: IDBValidKey, value: unknown]

const place = (mxid: string, part: string, store: string, row: string) => `ghost_crypto|${mxid}|${part}|${store}|${row}`

async function load(database: Database, { mxid, part, open }: Rows) {
  const [found] = await database.query<{ schema: IdbSchema }>(
    'select schema from ghost_crypto_schema where mxid = $1 and database = $2',
    [mxid, part],
  )
  if (!found) return undefined
  const rows = await database.query<{ store: string; key: string; value: Uint8Array }>(
    'select store, key, value from ghost_crypto where mxid = $1 and database = $2',
    [mxid, part],
  )
  return {
    schema: found.schema,
    *records(): Iterable<IdbRecord> {
      for (const row of rows) {
        const [key, value] = open(row.store, row.key, row.value)
        yield { store: row.store, key, value }
      }
    },
  }
}

/** All of one IndexedDB transaction in one of ours, and only while the ghost is ours. */
async function commit(
  database: Database,
  { mxid, part, nameOf, seal }: Rows,
  lease: Lease,
  { schema, records, deleted }: Change,
): Promise<void> {
  const names = records.map(({ store, key }) => nameOf(store, key))
  const values = records.map(({ store, key, value }, index) => seal(store, names[index]!, [key, value]))
  await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    if (schema) {
      await tx.query('delete from ghost_crypto where mxid = $1 and database = $2', [mxid, part])
      await tx.query(
        `insert into ghost_crypto_schema (mxid, database, schema) values ($1, $2, $3)
         on conflict (mxid, database) do update set schema = excluded.schema`,
        [mxid, part, JSON.stringify(schema)],
      )
    }
    if (deleted.length > 0)
      await tx.query(
        `delete from ghost_crypto using unnest($3::text[], $4::text[]) as gone (store, key)
         where mxid = $1 and database = $2 and ghost_crypto.store = gone.store and ghost_crypto.key = gone.key`,
        [mxid, part, deleted.map(({ store }) => store), deleted.map(({ store, key }) => nameOf(store, key))],
      )
    if (records.length > 0)
      await tx.query(
        `insert into ghost_crypto (mxid, database, store, key, value)
         select $1, $2, * from unnest($3::text[], $4::text[], $5::bytea[])
         on conflict (mxid, database, store, key) do update set value = excluded.value`,
        [mxid, part, records.map(({ store }) => store), names, values],
      )
  })
}

/** The Olm machine uses text and numbers as keys, which JSON keeps apart; dates and bytes it would not. */
function keyText(key: IDBValidKey): string {
  if (typeof key !== 'string' && typeof key !== 'number') throw new TypeError('a key of this kind is not stored')
  return JSON.stringify(key)
}
