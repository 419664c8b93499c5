import { CborError } from '../cbor/index.ts'

/**
 * What is wrong with content. The same bytes will be refused again: the message is shown as unreadable, never dropped
 * without a trace.
 *
 * - too-large, too-deep, too-many-items: past a limit; nothing was built from the bytes
 * - not-deterministic: not in the one encoding that message ids are computed over
 * - malformed: of another shape than the draft's
 * - unknown-hash: a message id of a hash function that is not known
 * - implausible: expires further away than a year
 */
export type ContentErrorCode =
  | 'too-large'
  | 'too-deep'
  | 'too-many-items'
  | 'not-deterministic'
  | 'malformed'
  | 'unknown-hash'
  | 'implausible'

export class ContentError extends Error {
  override readonly name = 'ContentError'
  readonly code: ContentErrorCode

  constructor(code: ContentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Runs a codec; what deterministic CBOR refuses becomes a ContentError. `name` says what was read or written. */
export function asContentError<T>(name: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (!(cause instanceof CborError)) throw cause
    const code = cause.code === 'unexpected' ? 'malformed' : cause.code
    throw new ContentError(code, `${name}: ${cause.message}`, { cause })
  }
}
