/**
 * Deterministic CBOR (RFC 8949 §4.2.1): the one way in which signed documents and message content are written.
 *
 * Bytes from outside are walked once, within limits, before anything is built from them; what is not the one
 * deterministic encoding of its value is refused, so that equal values have equal bytes, hashes and signatures.
 * This room knows no message and no document; it never guesses and never repairs.
 */
export { decodeCbor, encodeCbor } from './codec.ts'
export { CborError, type CborErrorCode } from './errors.ts'
export { type CborPair, itemsOf, pairsOf, rawArray, rawMap } from './raw.ts'
export { type ArrayReader, readArray } from './reader.ts'
export { type CborLimits, checkCbor } from './scan.ts'
