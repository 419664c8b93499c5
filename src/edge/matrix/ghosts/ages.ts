import type { MatrixSettings } from '../settings.ts'
import type { IdbRecord } from './idb.ts'

/**
 * Records of an Olm machine that become too many: an inbound Megolm session for each room key, and a mark for each message to
 * the device, by which its machine tells a repetition from a session that is broken. Nothing else in a store points to them,
 * and nothing is told by them of what was read: repetitions of messages are known by the message map.
 */
const ageing: ReadonlySet<string> = new Set(['inbound_group_sessions3', 'olm_hashes'])

type AgeSettings = Pick<MatrixSettings, 'unusedKeyMs' | 'unusedEveryMs'>

/** When each record that ages was last used: written, or read by its key, as decrypting does. Times in ms. */
export interface Ages {
  /** @returns whether that is to be noted, since it was not for long */
  used(record: Pick<IdbRecord, 'store' | 'key'>, at: number): boolean
  gone(record: Pick<IdbRecord, 'store' | 'key'>): void
  /** Those that were not used for so long, by their store. */
  unused(now: number): Map<string, IDBValidKey[]>
}

export function openAges({ unusedKeyMs, unusedEveryMs }: AgeSettings): Ages {
  const stores = new Map([...ageing].map((store) => [store, new Map<IDBValidKey, number>()]))
  return {
    used({ store, key }, at) {
      const times = stores.get(store)
      const before = times?.get(key)
      if (times === undefined || (before !== undefined && at < before + unusedEveryMs)) return false
      times.set(key, at)
      return true
    },
    gone: ({ store, key }) => void stores.get(store)?.delete(key),
    unused(now) {
      const found = new Map<string, IDBValidKey[]>()
      for (const [store, times] of stores) {
        const keys = [...times].filter(([, at]) => at < now - unusedKeyMs).map(([key]) => key)
        if (keys.length > 0) found.set(store, keys)
      }
      return found
    },
  }
}
