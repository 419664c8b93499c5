/**
 * Works on the newest value of each key: one at a time for a key, several keys at once. What is put while the key waits or is
 * worked on takes the place of what was put before, so a flood of one key costs no more than its last value.
 */
export interface Latest<T> {
  /** False when so many keys wait already that this one is not taken. */
  put(key: string, value: T): boolean
  /** Whether a newer value waits. */
  has(key: string): boolean
  /** Resolves when nothing waits and nothing is worked on. */
  idle(): Promise<void>
  /** Drops what waits. */
  stop(): void
}

export interface LatestOptions<T> {
  work(key: string, value: T): Promise<void>
  /** Keys that wait, at most. */
  most: number
  /** Keys that are worked on at the same time. */
  atOnce: number
  onFault(error: unknown): void
}

export function createLatest<T>({ work, most, atOnce, onFault }: LatestOptions<T>): Latest<T> {
  /** In the order in which their keys came. */
  const waiting = new Map<string, T>()
  const running = new Map<string, Promise<void>>()
  let stopped = false

  const pump = () => {
    for (const [key, value] of waiting) {
      if (running.size >= atOnce) return
      if (running.has(key)) continue
      waiting.delete(key)
      const done = work(key, value)
        .catch(onFault)
        .finally(() => {
          running.delete(key)
          pump()
        })
      running.set(key, done)
    }
  }
  return {
    put(key, value) {
      if (stopped || (waiting.size >= most && !waiting.has(key))) return false
      waiting.set(key, value)
      pump()
      return true
    },
    has: (key) => waiting.has(key),
    async idle() {
      while (running.size > 0) await Promise.all(running.values())
    },
    stop() {
      stopped = true
      waiting.clear()
    },
  }
}
