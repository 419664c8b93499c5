import type { EntryJson } from './facets.ts'

/** How the users of one provider were served in one span of time. */
export interface ParityFigures {
  readonly provider: string
  /** Begin of the span, milliseconds since the epoch. */
  readonly at: number
  readonly accepted: number
  readonly delivered: number
  /** Refused messages by code. */
  readonly refused: Readonly<Record<string, number>>
  /** Milliseconds, of `measured` deliveries; undefined when nothing was measured. */
  readonly latency:
    | { readonly measured: number; readonly p50: number; readonly p90: number; readonly p99: number }
    | undefined
}

export const parityType = 'parity.measured'

const spans = { hour: 3_600_000, day: 86_400_000 } as const
export type ParitySpan = keyof typeof spans

/**
 * Adds up what each process has written of each hour, by provider and span (UTC), the oldest first. An entry belongs to the
 * span in which its middle lies. Quantiles are taken from the added histograms.
 */
export function parityOf(entries: Iterable<EntryJson>, by: ParitySpan): ParityFigures[] {
  const sums = new Map<string, Sum>()
  for (const entry of entries) {
    const read = readMeasured(entry)
    if (!read) continue
    const at = Math.floor(read.middle / spans[by]) * spans[by]
    const key = `${at} ${read.provider}`
    const sum = sums.get(key) ?? {
      provider: read.provider,
      at,
      accepted: 0,
      delivered: 0,
      refused: new Map(),
      steps: new Map(),
    }
    sums.set(key, sum)
    sum.accepted += read.accepted
    sum.delivered += read.delivered
    for (const [code, count] of read.refused) sum.refused.set(code, (sum.refused.get(code) ?? 0) + count)
    for (const [ms, count] of read.steps) sum.steps.set(ms, (sum.steps.get(ms) ?? 0) + count)
  }
  return [...sums.values()]
    .sort((a, b) => a.at - b.at || (a.provider < b.provider ? -1 : 1))
    .map(({ refused, steps, ...sum }) => ({
      ...sum,
      refused: Object.fromEntries([...refused].sort()),
      latency: quantilesOf(steps),
    }))
}

interface Sum {
  readonly provider: string
  readonly at: number
  accepted: number
  delivered: number
  readonly refused: Map<string, number>
  readonly steps: Map<number, number>
}

const count = (value: unknown) => (Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : 0)
const list = (value: unknown): EntryJson[] => (Array.isArray(value) ? (value as EntryJson[]) : [])

/** The figures of an entry; undefined of another event. */
function readMeasured({ type, provider, since, until, ...entry }: EntryJson) {
  const middle = (Date.parse(String(since)) + Date.parse(String(until))) / 2
  if (type !== parityType || typeof provider !== 'string' || !Number.isFinite(middle)) return undefined
  const latency = (entry.latency ?? {}) as EntryJson
  return {
    provider,
    middle,
    accepted: count(entry.accepted),
    delivered: count(entry.delivered),
    refused: list(entry.refused).map((each): [string, number] => [String(each.code), count(each.count)]),
    steps: list(latency.steps).map((each): [number, number] => [count(each.ms), count(each.count)]),
  }
}

function quantilesOf(steps: ReadonlyMap<number, number>): ParityFigures['latency'] {
  const sorted = [...steps].sort(([a], [b]) => a - b)
  const measured = sorted.reduce((sum, [, count]) => sum + count, 0)
  if (measured === 0) return undefined
  const at = (share: number) => {
    let seen = 0
    for (const [ms, count] of sorted) {
      seen += count
      if (seen >= share * measured) return ms
    }
    return 0
  }
  return { measured, p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}
