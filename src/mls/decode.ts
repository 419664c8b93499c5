import type { Decoder } from 'ts-mls/codec/tlsDecoder.js'
import { MlsError } from './errors.ts'

/**
 * Decodes all of `bytes` as one structure. ts-mls' decoders give undefined, throw errors of their own or, for a value that
 * they have no case for, a TypeError: all of that is MlsError 'malformed' here.
 */
export function decodeAll<T>(decode: Decoder<T>, bytes: Uint8Array, what: string): T {
  let decoded: [T, number] | undefined
  try {
    // a copy at offset 0: the codecs make views of it, and some of ts-mls' writers ignore a view's offset
    decoded = decode(Uint8Array.from(bytes), 0)
  } catch (cause) {
    throw new MlsError('malformed', `${what} does not decode`, { cause })
  }
  if (decoded === undefined || decoded[1] !== bytes.length) throw new MlsError('malformed', `${what} does not decode`)
  return decoded[0]
}
