import { CodecError, CryptoError, CryptoVerificationError, ValidationError } from 'ts-mls/mlsError.js'

/**
 * malformed: not a message of MLS 1.0, or bytes left over · too-large: past a named limit · unsupported: another suite,
 * credential type or proposal type · wrong-group, wrong-epoch: belongs elsewhere; after catching up it may be right ·
 * bad-signature: a signature, membership tag or confirmation tag is wrong · undecryptable: no key of ours opens it ·
 * too-far-ahead: more of a sender's messages were missed than `maxRatchetSteps`, if it is true; any member can pretend it ·
 * refused-leaf: `authenticate` refused a member · invalid-tree, invalid-proposal, invalid-commit: against the rules of
 * RFC 9420 · missing-psk: a pre-shared key that we do not have · no-key-package: a Welcome for none of ours ·
 * pending-proposals: they have to be committed before application data · not-active: we were removed, or the group is
 * being replaced
 */
export type MlsErrorCode =
  | 'malformed'
  | 'too-large'
  | 'unsupported'
  | 'wrong-group'
  | 'wrong-epoch'
  | 'bad-signature'
  | 'undecryptable'
  | 'too-far-ahead'
  | 'refused-leaf'
  | 'invalid-tree'
  | 'invalid-proposal'
  | 'invalid-commit'
  | 'missing-psk'
  | 'no-key-package'
  | 'pending-proposals'
  | 'not-active'

/** Every error of this room. The message names the rule, never content, keys or identities; the cause may. */
export class MlsError extends Error {
  override readonly name = 'MlsError'
  readonly code: MlsErrorCode

  constructor(code: MlsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Runs a call into ts-mls, whose errors become ours: `fallback` where its class says no more. */
export async function translating<T>(fallback: MlsErrorCode, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    throw translated(fallback, cause)
  }
}

function translated(fallback: MlsErrorCode, cause: unknown): MlsError {
  if (cause instanceof MlsError) return cause
  if (cause instanceof CodecError) return new MlsError('malformed', 'malformed structure', { cause })
  if (cause instanceof CryptoVerificationError) return new MlsError('bad-signature', 'verification failed', { cause })
  if (cause instanceof CryptoError) return new MlsError('undecryptable', 'decryption failed', { cause })
  // The library has no class of its own for it; attacks.test.ts holds it to these words.
  if (cause instanceof ValidationError && cause.message === 'Desired generation too far in the future')
    return new MlsError('too-far-ahead', 'too many messages were missed', { cause })
  return new MlsError(fallback, 'refused', { cause })
}
