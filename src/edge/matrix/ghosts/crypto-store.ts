import { AsyncLocalStorage } from 'node:async_hooks'
import { deserialize, serialize } from 'node:v8'
import { type Crypto, toBase64Url, utf8 } from '../../../crypto/index.ts'
import { type Database, type Lease, requireFence, type Sealer, type Transaction } from '../../../store/index.ts'
import type { MatrixSettings } from '../settings.ts'
import { type Ages, openAges } from './ages.ts'
import { type Change, drop, fill, forget, type IdbRecord, type IdbSchema, installIndexedDb, watch } from './idb.ts'

/**
 * Where an Olm machine's state lives: sealed rows in the database, with IndexedDB in memory as the working set. What the
 * machine changed is committed under the fence of the ghost's lease before the call that changed it gives its result.
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
  /**
   * Resolves when all that was changed so far is durable; in one transaction for all who wait. Rejects with the fault.
   * @param also writes in that transaction; what makes it fail makes the store fail
   */
  flush(also?: Also): Promise<void>
  /** What made a commit fail; from then on memory and rows differ, and the machine must be opened anew. */
  readonly fault: unknown
  /** Drops what nobody has used for so long that nobody will (`unusedKeyMs`); opening did so. */
  prune(): Promise<void>
  /** Frees the memory. */
  close(): void
}

/** Writes something that is to be durable together with the machine's state. */
export type Also = (tx: Transaction) => void

/** The two databases that the Olm machine opens under one store name. */
const databases = ['::matrix-sdk-crypto-meta', '::matrix-sdk-crypto'] as const

/** Rows opened before others have their turn, some 10 ms: the bot may have tens of thousands. */
const openedAtOnce = 200
/** Records dropped in one go: each is looked for in every index, which takes a while where there are many. */
const droppedAtOnce = 50

export async function openCryptoStore(
  database: Database,
  sealer: Sealer,
  crypto: Crypto,
  settings: Pick<MatrixSettings, 'unusedKeyMs' | 'unusedEveryMs'>,
): Promise<CryptoStore> {
  await installIndexedDb()
  // A commit runs in whatever context woke the Olm machine, which may be that of somebody's open transaction.
  const outside = AsyncLocalStorage.snapshot()
  return {
    async open(mxid, lease, key) {
      const name = `${mxid}#${lease.fence}`
      let fault: unknown
      let staged = new Map<Rows, Staged>()
      let also: Also[] = []
      let committing: Promise<void> = Promise.resolve()
      let next: Promise<void> | undefined
      const agesOf = new Map<string, Ages>()
      for (const part of databases) {
        const ages = openAges(settings)
        agesOf.set(part, ages)
        const rows: Rows = {
          mxid,
          part,
          // Some names of records are Matrix ids in the clear, so the column has a digest and the name is sealed too.
          nameOf: (store, of) => toBase64Url(crypto.hmacSha256(key, utf8(`${part}|${store}|${keyText(of)}`))),
          seal: (store, row, record) => sealer.seal(serialize(record), place(mxid, part, store, row)),
          open: (store, row, sealed) => deserialize(sealer.open(sealed, place(mxid, part, store, row))),
        }
        const stored = await load(database, rows)
        if (stored) {
          const { kept, unused } = await stored.sorted(ages)
          await fill(name + part, stored.schema, kept)
          stage(staged, rows, { records: [], deleted: unused })
        }
        watch(
          name + part,
          async (change) => {
            if (fault) throw fault
            for (const record of change.records) ages.used(record, Date.now())
            for (const record of change.deleted) ages.gone(record)
            stage(staged, rows, change)
          },
          (record) => {
            if (ages.used(record, Date.now())) stagedOf(staged, rows).used.push(record)
          },
        )
      }
      const commitStaged = async () => {
        next = undefined
        const [taken, takenAlso] = [staged, also]
        staged = new Map()
        also = []
        try {
          if (fault) throw fault
          await outside(() => commit(database, lease, taken, takenAlso))
        } catch (error) {
          fault ??= error
          throw error
        }
      }
      const flush = (more?: Also): Promise<void> => {
        if (more) also.push(more)
        // What was changed before is under way, or done.
        if (staged.size + also.length === 0) return committing
        if (next === undefined) {
          next = committing.catch(() => {}).then(commitStaged)
          committing = next
        }
        return next
      }
      return {
        name,
        flush,
        get fault() {
          return fault
        },
        async prune() {
          for (const [part, ages] of agesOf)
            for (const [store, keys] of ages.unused(Date.now()))
              for (let from = 0; from < keys.length; from += droppedAtOnce)
                await drop(name + part, store, keys.slice(from, from + droppedAtOnce))
          await flush()
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
  const rows = await database.query<{ store: string; key: string; value: Uint8Array; used_at: number }>(
    'select store, key, value, used_at from ghost_crypto where mxid = $1 and database = $2',
    [mxid, part],
  )
  return {
    schema: found.schema,
    /** Notes how old they are, and says which are too old. */
    async sorted(ages: Ages): Promise<{ kept: IdbRecord[]; unused: IdbRecord[] }> {
      // Against the last that happened here: in the time that all was down nobody could use anything.
      let last = 0
      const records = new Map<string, Map<IDBValidKey, IdbRecord>>()
      for (const [at, row] of rows.entries()) {
        if (at % openedAtOnce === openedAtOnce - 1) await new Promise((resolve) => setImmediate(resolve))
        const [key, value] = open(row.store, row.key, row.value)
        const record = { store: row.store, key, value }
        const those = records.get(row.store) ?? new Map<IDBValidKey, IdbRecord>()
        records.set(row.store, those.set(key, record))
        ages.used(record, row.used_at)
        last = Math.max(last, row.used_at)
      }
      const unused: IdbRecord[] = []
      for (const [store, keys] of ages.unused(Math.min(last, Date.now())))
        for (const key of keys) {
          const record = records.get(store)!.get(key)!
          records.get(store)!.delete(key)
          ages.gone(record)
          unused.push(record)
        }
      return { kept: [...records.values()].flatMap((those) => [...those.values()]), unused }
    },
  }
}

/** What was changed and is not durable yet: the last of each record; undefined: deleted. */
interface Staged {
  schema?: IdbSchema
  records: Map<string, { store: string; key: IDBValidKey; value?: { of: unknown } }>
  /** Read, and not noted as used for long. */
  used: { store: string; key: IDBValidKey }[]
}

function stage(all: Map<Rows, Staged>, rows: Rows, { schema, records, deleted }: Change): void {
  if (schema) all.delete(rows)
  const staged = stagedOf(all, rows)
  if (schema) staged.schema = schema
  const nameOf = (store: string, key: IDBValidKey) => `${store}|${keyText(key)}`
  for (const { store, key, value } of records)
    staged.records.set(nameOf(store, key), { store, key, value: { of: value } })
  for (const { store, key } of deleted) staged.records.set(nameOf(store, key), { store, key })
}

function stagedOf(all: Map<Rows, Staged>, rows: Rows): Staged {
  const staged = all.get(rows) ?? { records: new Map(), used: [] }
  all.set(rows, staged)
  return staged
}

/** All that was changed in one transaction, and only while the ghost is ours. */
async function commit(
  database: Database,
  lease: Lease,
  all: ReadonlyMap<Rows, Staged>,
  also: readonly Also[],
): Promise<void> {
  const parts = [...all].map(([rows, { schema, records, used }]) => {
    const read: string[][] = [used.map(({ store }) => store), used.map(({ store, key }) => rows.nameOf(store, key))]
    const put: [stores: string[], names: string[], values: Uint8Array[]] = [[], [], []]
    const gone: [stores: string[], names: string[]] = [[], []]
    for (const { store, key, value } of records.values()) {
      const name = rows.nameOf(store, key)
      const [stores, names] = value ? put : gone
      stores.push(store)
      names.push(name)
      if (value) put[2].push(rows.seal(store, name, [key, value.of]))
    }
    return { ...rows, schema, put, gone, read }
  })
  await database.transaction(async (tx) => {
    requireFence(tx, lease.name, lease.fence)
    for (const { mxid, part, schema, put, gone, read } of parts) {
      if (schema) {
        tx.write('delete from ghost_crypto where mxid = $1 and database = $2', [mxid, part])
        tx.write(
          `insert into ghost_crypto_schema (mxid, database, schema) values ($1, $2, $3)
           on conflict (mxid, database) do update set schema = excluded.schema`,
          [mxid, part, JSON.stringify(schema)],
        )
      }
      if (gone[0].length > 0)
        tx.write(
          `delete from ghost_crypto using unnest($3::text[], $4::text[]) as gone (store, key)
           where mxid = $1 and database = $2 and ghost_crypto.store = gone.store and ghost_crypto.key = gone.key`,
          [mxid, part, ...gone],
        )
      if (put[0].length > 0)
        tx.write(
          `insert into ghost_crypto (mxid, database, store, key, value, used_at)
           select $1, $2, *, now_ms() from unnest($3::text[], $4::text[], $5::bytea[])
           on conflict (mxid, database, store, key) do update set value = excluded.value, used_at = excluded.used_at`,
          [mxid, part, ...put],
        )
      if (read[0]!.length > 0)
        tx.write(
          `update ghost_crypto set used_at = now_ms() from unnest($3::text[], $4::text[]) as used (store, key)
           where mxid = $1 and database = $2 and ghost_crypto.store = used.store and ghost_crypto.key = used.key`,
          [mxid, part, ...read],
        )
    }
    for (const write of also) write(tx)
  })
}

/** The Olm machine uses text and numbers as keys, which JSON keeps apart; dates and bytes it would not. */
function keyText(key: IDBValidKey): string {
  if (typeof key !== 'string' && typeof key !== 'number') throw new TypeError('a key of this kind is not stored')
  return JSON.stringify(key)
}
