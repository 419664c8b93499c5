import type { GroupCache } from '../types.ts'

/** Group states in memory, the least recently used one dropped first. `size`: entries, of some 2 KB each and more. */
export function groupCache(size: number): GroupCache {
  const entries = new Map<string, unknown>()
  return {
    size,
    get(key) {
      const state = entries.get(key)
      if (state === undefined) return undefined
      entries.delete(key)
      entries.set(key, state)
      return state
    },
    set(key, state) {
      entries.delete(key)
      entries.set(key, state)
      for (const oldest of entries.keys()) {
        if (entries.size <= size) break
        entries.delete(oldest)
      }
    },
    delete: (key) => void entries.delete(key),
  }
}
