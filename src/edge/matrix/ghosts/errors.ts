import { isStoreError } from '../../../store/index.ts'
import { isHomeserverError } from '../homeserver.ts'

/**
 * - `unknown-ghost`: no ghost has this id.
 * - `homeserver`: the homeserver did not answer, or refused.
 * - `lease-lost`: another process has the ghost now.
 * - `store`: state could not be made durable; the machine is opened anew at the next call.
 * - `timeout`: the Olm machine did not answer; it is opened anew at the next call.
 * - `unreadable`: nobody but the sender could have read it, so it was not encrypted.
 * - `machine`: the Olm machine refused.
 * - `closed`: the process is draining.
 */
type GhostErrorCode =
  | 'unknown-ghost'
  | 'homeserver'
  | 'lease-lost'
  | 'store'
  | 'timeout'
  | 'unreadable'
  | 'machine'
  | 'closed'

export class GhostError extends Error {
  readonly code: GhostErrorCode
  /** Whether the same call may succeed later. */
  readonly retry: boolean
  /** What the homeserver said, with `homeserver`. */
  readonly errcode: string | undefined
  constructor(code: GhostErrorCode, retry: boolean, errcode?: string) {
    super(`ghost: ${code}${errcode === undefined ? '' : ` (${errcode})`}`)
    this.name = 'GhostError'
    this.code = code
    this.retry = retry
    this.errcode = errcode
  }
}

/** Whether nobody could have read it, or it could not be encrypted at all. */
export const isUnreadable = (error: unknown): boolean =>
  error instanceof GhostError && (error.code === 'unreadable' || !error.retry)

/**
 * Whatever went wrong below, as one of our codes. The cause is left out: Rust's messages name users and rooms, those of
 * fetch the address.
 */
export function asGhostError(error: unknown): GhostError {
  if (error instanceof GhostError) return error
  if (isHomeserverError(error)) return new GhostError('homeserver', error.retry, error.errcode)
  if (isStoreError(error, 'lease-lost')) return new GhostError('lease-lost', true)
  if (isStoreError(error)) return new GhostError('store', error.retry)
  return new GhostError('machine', false)
}
