import { ClientError, type ClientErrorCode } from '../../client/index.ts'

/**
 * - `elsewhere`: another process has this Matrix user's device.
 * - `no-such-user`: the homeserver knows nobody by this Matrix id.
 * - `bad-mxid`: this is no Matrix id, or one of the bridge's own.
 * - `closed`: the edge is draining.
 * - `behind`: no device in a group has read as far as what was taken from its log; in a moment one will have.
 * - `making`: the homeserver may still be making the Matrix room that it was asked for.
 */
export type EdgeErrorCode = 'elsewhere' | 'making' | 'no-such-user' | 'bad-mxid' | 'closed' | 'behind'

/** Codes of a device that is closing or whose storage failed: nobody has refused anything. */
const ownFaults: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>([
  'closed',
  'storage',
  'handler',
  'disconnected',
])

/** Whether the messenger, or the device for a reason that lasts, has refused: the same call would be refused again. */
export const isRefusal = (error: unknown): error is ClientError =>
  error instanceof ClientError && !error.retry && !ownFaults.has(error.code)

export class EdgeError extends Error {
  override readonly name = 'EdgeError'
  readonly code: EdgeErrorCode
  /** Whether the same call may succeed later. */
  readonly retry: boolean
  constructor(code: EdgeErrorCode, options?: ErrorOptions) {
    super(`edge: ${code}`, options)
    this.code = code
    this.retry = code === 'elsewhere' || code === 'behind' || code === 'making'
  }
}

/** What is the code of an error that is none of our typed ones: a fault in the program. */
export const unexpected = 'unexpected'

/** The code of one of our typed errors; anything else has none that may be known. */
export function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  if (typeof code === 'string') return code
  const errcode = typeof error === 'object' && error !== null && 'errcode' in error ? error.errcode : undefined
  return typeof errcode === 'string' ? errcode : unexpected
}
