import type { EntryJson } from './facets.ts'

/** One request of another provider, and the time it took or takes. */
export interface ClockedRequest {
  readonly request: string
  readonly provider: string
  /** Milliseconds since the epoch. */
  readonly received: number
  readonly due: number
  /** What came of it; undefined while it is open. */
  readonly outcome: string | undefined
  readonly reason: string | undefined
  /** Whole days from receipt to answer, or until now. */
  readonly days: number
  /** Answered, or still open, after it was due. */
  readonly late: boolean
}

export const requestedType = 'interop.requested'
export const answeredType = 'interop.answered'

const dayMs = 86_400_000
const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

/**
 * The requests in these entries, the oldest first. An answer counts from the time of its entry. `now`: milliseconds since
 * the epoch.
 */
export function clockOf(entries: readonly EntryJson[], now: number): ClockedRequest[] {
  const answers = new Map(entries.filter(({ type }) => type === answeredType).map((entry) => [entry.request, entry]))
  return entries
    .filter(({ type }) => type === requestedType)
    .map((entry) => {
      const answer = answers.get(entry.request)
      const [received, due] = [Date.parse(String(entry.received)), Date.parse(String(entry.due))]
      const until = answer ? Date.parse(String(answer.time)) : now
      return {
        ...{ request: String(entry.request), provider: String(entry.provider), received, due },
        ...{ outcome: text(answer?.outcome), reason: text(answer?.reason) },
        ...{ days: Math.floor((until - received) / dayMs), late: until > due },
      }
    })
    .sort((a, b) => a.received - b.received)
}
