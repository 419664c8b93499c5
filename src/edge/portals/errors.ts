/**
 * - `elsewhere`: another process has this Matrix user's device.
 * - `no-such-user`: the homeserver knows nobody by this Matrix id.
 * - `bad-mxid`: this is no Matrix id, or one of the bridge's own.
 * - `closed`: the edge is draining.
 */
export type EdgeErrorCode = 'elsewhere' | 'no-such-user' | 'bad-mxid' | 'closed'

export class EdgeError extends Error {
  override readonly name = 'EdgeError'
  readonly code: EdgeErrorCode
  /** Whether the same call may succeed later. */
  readonly retry: boolean
  constructor(code: EdgeErrorCode, options?: ErrorOptions) {
    super(`edge: ${code}`, options)
    this.code = code
    this.retry = code === 'elsewhere'
  }
}
