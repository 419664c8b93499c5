import { ContentError } from './errors.ts'
import type { MimiContent } from './types.ts'

const year = 365 * 24 * 3600

/**
 * When a message is to go, in seconds since the epoch; undefined for never, or while it is to go some time after it is
 * read and has not been. `readAt`: when it was read, in seconds since the epoch.
 */
export function expiryOf({ expires }: Pick<MimiContent, 'expires'>, readAt: number | undefined): number | undefined {
  if (!expires?.relative) return expires?.seconds
  return readAt === undefined ? undefined : readAt + expires.seconds
}

/**
 * Throws ContentError 'implausible' for an expiry more than a year before or after `at`, the log's time in seconds
 * (draft-ietf-mimi-content-08 §9.1): such a message is to be discarded.
 */
export function requirePlausibleExpiry({ expires }: Pick<MimiContent, 'expires'>, at: number): void {
  if (!expires) return
  const distance = expires.relative ? expires.seconds : Math.abs(expires.seconds - at)
  if (distance > year) throw new ContentError('implausible', 'expires more than a year away')
}
