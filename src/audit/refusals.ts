import type { Database } from '../store/index.ts'
import type { Audit } from './events.ts'

/** Refusals are told of in sums: an entry for each would let anybody fill the log. */
export interface Refusals {
  /** A request was refused. Only counts. */
  refused(operation: string, code: string, provider: string | undefined): void
  /** Writes what was counted, and stops. What was counted since the last time is lost when the process is killed. */
  close(): Promise<void>
}

/** Five minutes: short enough to see when it was, long enough that a day of constant refusals is a few hundred entries. */
const everyMs = 5 * 60_000

export interface RefusalsOptions {
  readonly database: Database
  readonly audit: Audit
  readonly everyMs?: number
  readonly clock?: () => number
  onFault(error: unknown): void
}

export function openRefusals(options: RefusalsOptions): Refusals {
  const { database, audit, clock = Date.now } = options
  let counts = new Map<string, { operation: string; code: string; provider: string | undefined; count: number }>()
  let since = clock()
  let writing: Promise<void> = Promise.resolve()

  const write = async () => {
    if (counts.size === 0) return
    const taken = counts
    const span = { since: new Date(since).toISOString(), until: new Date(clock()).toISOString() }
    counts = new Map()
    since = clock()
    try {
      await database.transaction(async (tx) => {
        for (const each of taken.values()) await audit.append(tx, { type: 'refusals.counted', ...each, ...span })
      })
    } catch (error) {
      options.onFault(error)
    }
  }
  const flush = () => {
    writing = writing.then(write)
    return writing
  }
  const timer = setInterval(() => void flush(), options.everyMs ?? everyMs)
  timer.unref()
  return {
    refused(operation, code, provider) {
      const key = `${operation} ${code} ${provider}`
      const known = counts.get(key)
      if (known) known.count++
      else counts.set(key, { operation, code, provider, count: 1 })
    },
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
