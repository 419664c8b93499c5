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
export type GhostErrorCode =
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
  constructor(code: GhostErrorCode, retry: boolean, options?: ErrorOptions) {
    super(`ghost: ${code}`, options)
    this.name = 'GhostError'
    this.code = code
    this.retry = retry
  }
}
