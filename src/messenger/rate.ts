/** A bucket of tokens that fills with time: `burst` at once, `perSecond` for long. */
export function openRate(perSecond: number, burst: number, clock: () => number) {
  let tokens = burst
  let filledAt = clock()
  return {
    /** Takes one; 0 when there was one, otherwise the milliseconds until there is. */
    take(): number {
      const now = clock()
      tokens = Math.min(burst, tokens + (Math.max(0, now - filledAt) * perSecond) / 1000)
      filledAt = now
      if (tokens >= 1) {
        tokens -= 1
        return 0
      }
      return Math.ceil(((1 - tokens) * 1000) / perSecond)
    },
  }
}
