import { IDBFactory, IDBTransaction } from 'fake-indexeddb'
import 'fake-indexeddb/auto'

/**
 * The in-memory IndexedDB that the Olm machines work on (fake-indexeddb), made to tell what a transaction changed and to
 * hold back its `complete` event until that is noted elsewhere. When it has to be durable, whoever calls the machine sees
 * to (`crypto-store.ts`).
 *
 * This file alone knows fake-indexeddb's insides (6.2.8): `_start` of a transaction, its rollback log, the raw stores.
 */

interface IndexSchema {
  readonly name: string
  readonly keyPath: string | string[]
  readonly unique: boolean
  readonly multiEntry: boolean
}

interface StoreSchema {
  readonly name: string
  readonly keyPath: string | string[] | null
  readonly autoIncrement: boolean
  readonly indexes: readonly IndexSchema[]
}

export interface IdbSchema {
  readonly version: number
  readonly stores: readonly StoreSchema[]
}

export interface IdbRecord {
  readonly store: string
  readonly key: IDBValidKey
  readonly value: unknown
}

/** What one transaction changed: `schema` when it changed that too, and `records` are then all there are. */
export interface Change {
  readonly schema?: IdbSchema
  readonly records: readonly IdbRecord[]
  readonly deleted: readonly { readonly store: string; readonly key: IDBValidKey }[]
}

/** Takes a change. When it rejects, the transaction aborts. */
export type Persist = (change: Change) => Promise<void>

/** Told of a record that was asked for by its key, before it is given. */
export type OnRead = (record: IdbRecord) => void

interface RawRecord {
  key: IDBValidKey
  value: unknown
}

interface RawStore {
  name: string
  rawDatabase: RawDatabase
  deleted: boolean
  keyPath: string | string[] | null
  autoIncrement: boolean
  rawIndexes: Map<string, IndexSchema>
  records: { get(key: IDBValidKey): RawRecord | undefined; values(): Iterable<RawRecord> }
  storeRecord(record: RawRecord, noOverwrite: boolean, rollbackLog?: object): unknown
  deleteRecord(key: IDBValidKey | IDBKeyRange, rollbackLog?: object): void
  clear(rollbackLog?: object): void
  getValue(key: IDBValidKey | IDBKeyRange): unknown
}

interface RawDatabase {
  name: string
  version: number
  rawObjectStores: Map<string, RawStore>
}

interface RawTransaction {
  mode: IDBTransactionMode
  db: { name: string; _rawDatabase: RawDatabase }
  _state: 'active' | 'inactive' | 'committing' | 'finished'
  _requests: { request: { readyState: string } }[]
  _rollbackLog: object
  _start(): void
  _abort(errorName: string): void
}

/** Store → keys touched, for each transaction that is under way; a rollback log belongs to exactly one. */
const touched = new WeakMap<object, Map<string, Set<IDBValidKey>>>()
const persists = new Map<string, Persist>()
const readers = new Map<string, OnRead>()
const held = new WeakSet<object>()

/** From now on the named database's transactions complete only when `persist` has taken them. */
export function watch(database: string, persist: Persist, onRead: OnRead): void {
  persists.set(database, persist)
  readers.set(database, onRead)
}

/** Forgets the named database: its records are gone from memory, open connections to it are cut off. */
export function forget(database: string): void {
  persists.delete(database)
  readers.delete(database)
  const factory = indexedDB as unknown as { _databases: Map<string, unknown>; _connectionQueues: Map<string, unknown> }
  factory._databases.delete(database)
  factory._connectionQueues.delete(database)
}

/** Creates the named database with this content, none of which is reported as a change. */
export async function fill(database: string, schema: IdbSchema, records: Iterable<IdbRecord>): Promise<void> {
  const persist = persists.get(database)
  persists.delete(database)
  try {
    await new Promise<void>((resolve, reject) => {
      const request = indexedDB.open(database, schema.version)
      request.onerror = () => reject(new Error('the store could not be filled'))
      request.onupgradeneeded = () => createStores(request.result, schema)
      request.onsuccess = () => {
        const raw = (request.result as unknown as { _rawDatabase: RawDatabase })._rawDatabase
        for (const { store, key, value } of records) raw.rawObjectStores.get(store)?.storeRecord({ key, value }, false)
        request.result.close()
        resolve()
      }
    })
  } finally {
    if (persist) persists.set(database, persist)
  }
}

/** Deletes records in one transaction, as whoever works on the database would. */
export async function drop(database: string, store: string, keys: readonly IDBValidKey[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const request = indexedDB.open(database)
    request.onerror = () => reject(new Error('records could not be dropped'))
    request.onsuccess = () => {
      const transaction = request.result.transaction(store, 'readwrite')
      for (const key of keys) transaction.objectStore(store).delete(key)
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(new Error('records could not be dropped'))
      request.result.close()
    }
  })
}

function createStores(database: IDBDatabase, schema: IdbSchema): void {
  for (const { name, keyPath, autoIncrement, indexes } of schema.stores) {
    const store = database.createObjectStore(name, { keyPath, autoIncrement })
    for (const index of indexes)
      store.createIndex(index.name, index.keyPath, { unique: index.unique, multiEntry: index.multiEntry })
  }
}

function schemaOf(raw: RawDatabase): IdbSchema {
  const stores = [...raw.rawObjectStores.values()].filter((store) => !store.deleted)
  return {
    version: raw.version,
    stores: stores.map(({ name, keyPath, autoIncrement, rawIndexes }) => ({
      name,
      keyPath,
      autoIncrement,
      indexes: [...rawIndexes.values()].map(({ name, keyPath, unique, multiEntry }) => ({
        name,
        keyPath,
        unique,
        multiEntry,
      })),
    })),
  }
}

function changeOf(transaction: RawTransaction): Change | undefined {
  const raw = transaction.db._rawDatabase
  if (transaction.mode === 'versionchange') {
    const schema = schemaOf(raw)
    const records = schema.stores.flatMap(({ name }) =>
      [...raw.rawObjectStores.get(name)!.records.values()].map(({ key, value }) => ({ store: name, key, value })),
    )
    return { schema, records, deleted: [] }
  }
  const keys = touched.get(transaction._rollbackLog)
  if (!keys) return undefined
  const records: IdbRecord[] = []
  const deleted: { store: string; key: IDBValidKey }[] = []
  for (const [store, set] of keys) {
    const rows = raw.rawObjectStores.get(store)!.records
    for (const key of set) {
      const row = rows.get(key)
      if (row) records.push({ store, key, value: row.value })
      else deleted.push({ store, key })
    }
  }
  return { records, deleted }
}

function touch(log: object | undefined, store: RawStore, key: IDBValidKey): void {
  if (!log) return // an undo of a rolled back operation
  const stores = touched.get(log) ?? new Map<string, Set<IDBValidKey>>()
  touched.set(log, stores)
  const keys = stores.get(store.name) ?? new Set()
  stores.set(store.name, keys)
  keys.add(key)
}

/** Records what goes through the raw stores. Their class is not exported, so it is taken from a store. */
function watchStores(prototype: RawStore): void {
  const { storeRecord, deleteRecord, clear, getValue } = prototype
  prototype.getValue = function (key) {
    const onRead = readers.get(this.rawDatabase.name)
    const record = onRead && this.records.get(key as IDBValidKey)
    if (record) onRead({ store: this.name, key: record.key, value: record.value })
    return getValue.call(this, key)
  }
  prototype.storeRecord = function (record, noOverwrite, log) {
    const result = storeRecord.call(this, record, noOverwrite, log)
    touch(log, this, record.key)
    return result
  }
  prototype.deleteRecord = function (key, log) {
    const doomed = log && key instanceof IDBKeyRange ? [...this.records.values()].map((record) => record.key) : []
    deleteRecord.call(this, key, log)
    if (key instanceof IDBKeyRange) for (const each of doomed) this.records.get(each) ?? touch(log, this, each)
    else touch(log, this, key)
  }
  prototype.clear = function (log) {
    const doomed = log ? [...this.records.values()].map((record) => record.key) : []
    clear.call(this, log)
    for (const key of doomed) touch(log, this, key)
  }
}

/** A transaction with nothing left to do is `committing` while its change is made durable, and completes after that. */
function watchTransactions(prototype: RawTransaction): void {
  const start = prototype._start
  prototype._start = function () {
    if (held.has(this)) {
      // Tasks queued before the hold began arrive meanwhile.
      if (this._state !== 'committing') start.call(this)
      return
    }
    const persist = persists.get(this.db.name)
    const busy = this._requests.some(({ request }) => request.readyState !== 'done')
    if (!persist || busy || this._state === 'finished' || this.mode === 'readonly') return start.call(this)
    const change = changeOf(this)
    if (!change) return start.call(this)
    held.add(this)
    this._state = 'committing'
    persist(change).then(
      () => {
        this._state = 'active'
        start.call(this)
      },
      () => {
        this._state = 'active'
        this._abort('UnknownError')
      },
    )
  }
}

async function install(): Promise<void> {
  const name = 'probe'
  const factory = new IDBFactory()
  const prototype = await new Promise<RawStore>((resolve, reject) => {
    const request = factory.open(name, 1)
    request.onerror = () => reject(new Error('IndexedDB in memory does not work'))
    request.onupgradeneeded = () => {
      request.result.createObjectStore(name)
    }
    request.onsuccess = () => {
      const raw = (request.result as unknown as { _rawDatabase: RawDatabase })._rawDatabase
      request.result.close()
      resolve(Object.getPrototypeOf(raw.rawObjectStores.get(name)) as RawStore)
    }
  })
  watchStores(prototype)
  watchTransactions(IDBTransaction.prototype as unknown as RawTransaction)
}

let installed: Promise<void> | undefined

/** Puts an in-memory IndexedDB into the global scope, where the Olm machine looks for it, and watches it. Once a process. */
export function installIndexedDb(): Promise<void> {
  installed ??= install()
  return installed
}
