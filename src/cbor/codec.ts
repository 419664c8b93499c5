import { decode, encode, rfc8949EncodeOptions, Tokenizer, Type } from 'cborg'
import { CborError } from './errors.ts'
import { type CborLimits, checkCbor } from './scan.ts'

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowBigInt: true,
  rejectDuplicateMapKeys: true,
  useMaps: true,
  retainStringBytes: true,
}

/** cborg's own text decoding drops a byte order mark and repairs what is not UTF-8. */
class ExactTokenizer extends Tokenizer {
  override next() {
    const token = super.next()
    if (Type.equals(token.type, Type.string) && token.byteValue) token.value = text.decode(token.byteValue)
    if (Type.equals(token.type, Type.float)) throw new CborError('unexpected', 'a float')
    return token
  }
}

/**
 * The value of a deterministic CBOR item made of integers, byte strings, texts, arrays, maps (as Map), true, false and
 * null. Integers beyond 2^53 - 1 come as bigint. Checked by `checkCbor` first; tags, floats and other simple values are
 * refused as 'unexpected'. Throws CborError and nothing else.
 */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits): unknown {
  checkCbor(bytes, limits)
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    return decode(plain, { ...decodeOptions, tokenizer: new ExactTokenizer(plain, decodeOptions) })
  } catch (cause) {
    if (cause instanceof CborError) throw cause
    throw new CborError('unexpected', 'an item of a kind that is not used here', { cause })
  }
}

/** The deterministic encoding of such a value. Throws CborError 'unexpected' for what `decodeCbor` would not give. */
export function encodeCbor(value: unknown): Uint8Array {
  try {
    // a view into cborg's buffer would keep it alive and let a caller's change reach the next one
    return Uint8Array.from(
      encode(value, { ...rfc8949EncodeOptions, typeEncoders: { number: onlyIntegers, undefined: refuse } }),
    )
  } catch (cause) {
    throw new CborError('unexpected', 'a value of a kind that is not used here', { cause })
  }
}

function onlyIntegers(value: number): null {
  if (!Number.isSafeInteger(value)) throw new Error('not an integer')
  return null
}

function refuse(): null {
  throw new Error('undefined')
}
