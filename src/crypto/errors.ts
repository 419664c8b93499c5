/**
 * - bad-argument: a key, length or encoded text that the caller should not have passed; trying again does not help
 * - cannot-open: sealed bytes that do not open with this key and associated data
 */
export type CryptoErrorCode = 'bad-argument' | 'cannot-open'

export class CryptoError extends Error {
  override readonly name = 'CryptoError'
  readonly code: CryptoErrorCode

  constructor(code: CryptoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Throws unless `bytes` has exactly `length` bytes; `what` names the argument, never its value. */
export function requireLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new CryptoError('bad-argument', `${what} must have ${length} bytes`)
}
