import type { Database } from '../store/index.ts'
import type { Audit } from './events.ts'

/** How the users of each provider are served, side by side. Counted in memory: a message costs the log no write. */
export interface Parity {
  accepted(provider: string): void
  refused(provider: string, code: string): void
  /** `latencyMs`: undefined when the device was away meanwhile. */
  delivered(provider: string, latencyMs: number | undefined): void
  /** Writes what was counted, and stops. What was counted since the last time is lost when the process is killed. */
  close(): Promise<void>
}

/** An hour, as the log's design has it: enough to see a day's course, 24 entries a day and provider. */
const everyMs = 3600_000

export interface ParityOptions {
  readonly database: Database
  readonly audit: Audit
  readonly everyMs?: number
  readonly clock?: () => number
  onFault(error: unknown): void
}

interface Figures {
  accepted: number
  delivered: number
  readonly refused: Map<string, number>
  readonly latency: Histogram
}

export function openParity({ database, audit, onFault, clock = Date.now, ...options }: ParityOptions): Parity {
  let figures = new Map<string, Figures>()
  let since = clock()
  let writing: Promise<void> = Promise.resolve()

  const of = (provider: string): Figures => {
    const known = figures.get(provider)
    if (known) return known
    const fresh = { accepted: 0, delivered: 0, refused: new Map<string, number>(), latency: newHistogram() }
    figures.set(provider, fresh)
    return fresh
  }
  const write = async () => {
    const taken = figures
    const span = { since: new Date(since).toISOString(), until: new Date(clock()).toISOString() }
    figures = new Map()
    since = clock()
    if (taken.size === 0) return
    try {
      await database.transaction(async (tx) => {
        for (const [provider, { accepted, delivered, refused, latency }] of taken)
          await audit.append(tx, {
            ...{ type: 'parity.measured', provider, accepted, delivered, ...span },
            refused: [...refused].sort().map(([code, count]) => ({ code, count })),
            latency: quantiles(latency),
          })
      })
    } catch (error) {
      onFault(error)
    }
  }
  const flush = () => {
    writing = writing.then(write)
    return writing
  }
  const timer = setInterval(() => void flush(), options.everyMs ?? everyMs)
  timer.unref()
  return {
    accepted(provider) {
      of(provider).accepted++
    },
    refused(provider, code) {
      const { refused } = of(provider)
      refused.set(code, (refused.get(code) ?? 0) + 1)
    },
    delivered(provider, latencyMs) {
      const figure = of(provider)
      figure.delivered++
      if (latencyMs !== undefined) note(figure.latency, latencyMs)
    },
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}

/** Counts by step: step n ends at growth^n milliseconds. */
interface Histogram {
  readonly counts: number[]
  measured: number
}

/** Each step an eighth wider: a quantile is told that exactly, and an hour is the 128th step. */
const growth = 1.125
const mostSteps = 150

function newHistogram(): Histogram {
  return { counts: [], measured: 0 }
}

function note(histogram: Histogram, ms: number): void {
  const step = Math.min(mostSteps, Math.max(0, Math.ceil(Math.log(Math.max(ms, 1)) / Math.log(growth))))
  histogram.counts[step] = (histogram.counts[step] ?? 0) + 1
  histogram.measured++
}

const endOf = (step: number) => Math.round(growth ** step)

function quantiles({ counts, measured }: Histogram) {
  if (measured === 0) return undefined
  const at = (share: number) => {
    let seen = 0
    const step = [...counts.keys()].find((each) => {
      seen += counts[each] ?? 0
      return seen >= share * measured
    })
    return endOf(step ?? 0)
  }
  const steps = [...counts.entries()].flatMap(([step, count]) => (count ? [{ ms: endOf(step), count }] : []))
  return { measured, p50: at(0.5), p90: at(0.9), p99: at(0.99), steps }
}
