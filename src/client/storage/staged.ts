import type { StorageTx } from '../types.ts'

/** Where a staged transaction reads what was committed before it. */
export interface Reader {
  get(collection: string, key: string): Promise<Uint8Array | undefined>
  /** In order of keys where there is a limit. */
  list(collection: string, prefix: string, limit?: number): Promise<{ key: string; value: Uint8Array }[]>
}

/** Collection → key → new value; undefined: deleted. */
export type Writes = Map<string, Map<string, Uint8Array | undefined>>

/**
 * A transaction that keeps its writes in memory and reads through them, for storages whose own transactions cannot wait
 * for anything else (IndexedDB commits as soon as its caller awaits something that is not IndexedDB).
 */
export function stagedTransaction(reader: Reader): { tx: StorageTx; writes: Writes } {
  const writes: Writes = new Map()
  const staged = (collection: string) => {
    const map = writes.get(collection) ?? new Map<string, Uint8Array | undefined>()
    writes.set(collection, map)
    return map
  }
  const tx: StorageTx = {
    async get(collection, key) {
      const map = writes.get(collection)
      return map?.has(key) ? map.get(key)?.slice() : reader.get(collection, key)
    },
    async put(collection, key, value) {
      staged(collection).set(key, value.slice())
    },
    async delete(collection, key) {
      staged(collection).set(key, undefined)
    },
    async list(collection, prefix = '', limit) {
      const changes = [...(writes.get(collection) ?? [])].filter(([key]) => key.startsWith(prefix))
      // What is deleted here still counts there.
      const read = await reader.list(collection, prefix, limit === undefined ? undefined : limit + changes.length)
      const found = new Map(read.map(({ key, value }) => [key, value]))
      for (const [key, value] of changes) {
        if (value) found.set(key, value.slice())
        else found.delete(key)
      }
      return [...found]
        .map(([key, value]) => ({ key, value }))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .slice(0, limit)
    },
  }
  return { tx, writes }
}
