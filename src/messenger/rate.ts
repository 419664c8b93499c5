export type Rate = ReturnType<typeof openRate>

/** A bucket of tokens that fills with time: `burst` at once, `perSecond` for long. */
export function openRate(perSecond: number, burst: number, clock: () => number) {
  let tokens = burst
  let filledAt = clock()
  const fill = () => {
    const now = clock()
    tokens = Math.min(burst, tokens + (Math.max(0, now - filledAt) * perSecond) / 1000)
    filledAt = now
  }
  return {
    /** Takes that many, a whole bucket at most; 0 when there were so many, otherwise the milliseconds until there are. */
    take(cost = 1): number {
      fill()
      const wanted = Math.min(cost, burst)
      if (tokens >= wanted) {
        tokens -= wanted
        return 0
      }
      return Math.ceil(((wanted - tokens) * 1000) / perSecond)
    },
    /** As good as new. */
    get full(): boolean {
      fill()
      return tokens >= burst
    },
  }
}

/** So many are kept before it is looked whether some are full again. */
const fewNames = 1024

/**
 * A bucket for each name, kept until it is full again: whoever comes back on another connection, or over another channel,
 * finds the one they left.
 */
export function openRates(perSecond: number, burst: number, clock: () => number) {
  const rates = new Map<string, Rate>()
  let sweepAt = fewNames
  return {
    /** As `take` of a bucket. */
    take(name: string, cost = 1): number {
      const rate = rates.get(name) ?? openRate(perSecond, burst, clock)
      rates.set(name, rate)
      const waitMs = rate.take(cost)
      if (rates.size > sweepAt) {
        for (const [each, { full }] of rates) if (full) rates.delete(each)
        sweepAt = Math.max(fewNames, 2 * rates.size)
      }
      return waitMs
    },
    get names(): number {
      return rates.size
    },
  }
}
