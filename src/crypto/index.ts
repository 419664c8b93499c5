/**
 * The lowest room: synchronous cryptographic primitives behind one interface, and the byte codecs that go with them.
 *
 * Two implementations give the same answers: `node.ts` over node:crypto for servers, `web.ts` over @noble for a
 * browser. Both are imported by their path, so that a browser bundle never sees node:crypto. Everyone above takes a
 * `Crypto` as an argument. This room knows no protocol and stores no key.
 */
export { concatBytes, equalBytes, fromBase64Url, fromUtf8, toBase64Url, toHex, utf8 } from './bytes.ts'
export { CryptoError, type CryptoErrorCode } from './errors.ts'
export type { Crypto, KeyPair } from './types.ts'
