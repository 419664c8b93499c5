/**
 * - too-large, too-deep, too-many-items: past a limit; nothing was built from the bytes
 * - malformed: not CBOR, or not all of it one item
 * - not-deterministic: CBOR, but not the encoding of RFC 8949 §4.2.1
 * - unexpected: deterministic CBOR of another shape than was asked for
 */
export type CborErrorCode =
  | 'too-large'
  | 'too-deep'
  | 'too-many-items'
  | 'malformed'
  | 'not-deterministic'
  | 'unexpected'

export class CborError extends Error {
  override readonly name = 'CborError'
  readonly code: CborErrorCode

  constructor(code: CborErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
