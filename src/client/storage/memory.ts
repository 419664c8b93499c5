import { ClientError } from '../errors.ts'
import { createMutex } from '../state/mutex.ts'
import type { Storage } from '../types.ts'
import { stagedTransaction } from './staged.ts'

/** Storage that ends with the process: for tests, and for a device that is meant to be forgotten. */
export function memoryStorage(): Storage {
  const committed = new Map<string, Map<string, Uint8Array>>()
  const alone = createMutex()
  let open = true
  const reader = {
    async get(collection: string, key: string) {
      return committed.get(collection)?.get(key)?.slice()
    },
    async list(collection: string, prefix: string, limit?: number) {
      const keys = [...(committed.get(collection)?.keys() ?? [])].filter((key) => key.startsWith(prefix))
      const wanted = limit === undefined ? keys : keys.sort().slice(0, limit)
      return wanted.map((key) => ({ key, value: committed.get(collection)!.get(key)!.slice() }))
    },
  }
  return {
    transaction: (fn) =>
      alone(async () => {
        if (!open) throw new ClientError('closed', 'the storage is closed')
        const { tx, writes } = stagedTransaction(reader)
        const result = await fn(tx)
        for (const [collection, entries] of writes) {
          const map = committed.get(collection) ?? new Map<string, Uint8Array>()
          committed.set(collection, map)
          for (const [key, value] of entries) value ? map.set(key, value) : map.delete(key)
        }
        return result
      }),
    close: () =>
      alone(async () => {
        open = false
      }),
  }
}
