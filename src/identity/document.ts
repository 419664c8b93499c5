import { type ArrayReader, CborError, type CborLimits, decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { type Crypto, concatBytes, utf8 } from '../crypto/index.ts'
import { IdentityError } from './errors.ts'

/** How a kind of signed document is written and bounded. The label keeps one kind from being taken for another. */
export interface DocumentKind {
  name: string
  label: string
  limits: CborLimits
}

/** Seconds since the epoch up to the year 9999, so that a time is always a safe integer and prints as a date. */
export const maxTime = 253_402_300_799

/**
 * A signed document: deterministic CBOR `[body, signature]`, where body is a byte string that holds the encoded fields
 * and the Ed25519 signature covers label, a zero byte, body.
 */
export function signDocument(
  crypto: Crypto,
  kind: DocumentKind,
  privateKey: Uint8Array,
  fields: unknown[],
): Uint8Array {
  const body = encodeCbor(fields)
  return encodeCbor([body, crypto.sign(privateKey, signedBytes(kind, body))])
}

export interface OpenedDocument {
  fields: ArrayReader
  /** Throws IdentityError 'bad-signature' unless one of the keys made the signature. */
  verify(crypto: Crypto, ...publicKeys: readonly Uint8Array[]): void
}

/** Decodes without believing: the fields say under which key to verify. Throws IdentityError 'malformed'. */
export function openDocument(kind: DocumentKind, bytes: Uint8Array): OpenedDocument {
  return asMalformed(kind.name, () => {
    const outer = readArray(decodeCbor(bytes, kind.limits), kind.name)
    const body = outer.bytesUpTo(kind.limits.bytes)
    const signature = outer.bytes(64)
    outer.end()
    return {
      fields: readArray(decodeCbor(body, kind.limits), kind.name),
      verify(crypto, ...publicKeys) {
        const signed = signedBytes(kind, body)
        if (publicKeys.some((key) => crypto.verify(key, signed, signature))) return
        throw new IdentityError('bad-signature', `the signature of the ${kind.name} does not verify`)
      },
    }
  })
}

/** Runs a decoder; what it refuses becomes IdentityError 'malformed'. */
export function asMalformed<T>(name: string, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    if (cause instanceof CborError) throw new IdentityError('malformed', `${name}: ${cause.message}`, { cause })
    throw cause
  }
}

export interface Validity {
  /** Seconds since the epoch, first second at which the document holds. */
  notBefore: number
  /** Seconds since the epoch, last second at which it holds. */
  notAfter: number
}

export function readValidity(fields: ArrayReader, longest: number): Validity {
  const notBefore = fields.unsigned(maxTime)
  const notAfter = fields.unsigned(maxTime)
  if (notAfter < notBefore || notAfter - notBefore > longest) {
    throw new IdentityError('malformed', 'a validity that ends before it begins, or that is too long')
  }
  return { notBefore, notAfter }
}

/** Throws IdentityError 'expired' or 'not-yet-valid'. `at` is the log's time in seconds. */
export function requireValid(name: string, { notBefore, notAfter }: Validity, at: number): void {
  if (at > notAfter) throw new IdentityError('expired', `the ${name} has expired`)
  if (!(at >= notBefore)) throw new IdentityError('not-yet-valid', `the ${name} is not valid yet`)
}

function signedBytes(kind: DocumentKind, body: Uint8Array): Uint8Array {
  return concatBytes(utf8(kind.label), Uint8Array.of(0), body)
}
