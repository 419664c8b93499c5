/** A clock is corrected by seconds all the time, ms; what seems to lie further ahead was noted by a wrong one. */
const correctionMs = 60_000

/**
 * Milliseconds since a moment that was noted. Infinite where the clock has been set back since: how long ago it was is not
 * known then, and what waits for its time to be over must not wait for the clock.
 */
export function elapsed(now: number, since: number): number {
  return since > now + correctionMs ? Number.POSITIVE_INFINITY : Math.max(0, now - since)
}
