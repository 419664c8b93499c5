/** Tokens by key: so many in a minute, as many at once. */
export interface Rate {
  /** Whether one more is allowed for this key now; takes it. */
  take(key: string): boolean
}

/** Keys remembered at most. Beyond, those that have not been used longest are forgotten, and so begin anew. */
const mostKeys = 10_000

/** @param perMinute how many each key may take in a minute, and at once after a pause */
export function openRate(perMinute: number, clock: () => number): Rate {
  const buckets = new Map<string, { left: number; at: number }>()
  return {
    take(key) {
      const now = clock()
      const { left, at } = buckets.get(key) ?? { left: perMinute, at: now }
      const filled = Math.min(perMinute, left + (Math.max(0, now - at) / 60_000) * perMinute)
      buckets.delete(key)
      buckets.set(key, { left: filled >= 1 ? filled - 1 : filled, at: now })
      for (const oldest of buckets.keys()) {
        if (buckets.size <= mostKeys) break
        buckets.delete(oldest)
      }
      return filled >= 1
    },
  }
}
