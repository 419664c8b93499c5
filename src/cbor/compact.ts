import { fromUtf8, utf8 } from '../crypto/index.ts'
import { CborError } from './errors.ts'
import { major, readHead } from './head.ts'
import { type CborPair, rawArray, rawMap } from './raw.ts'
import { type CborLimits, checkCbor } from './scan.ts'

// What codec.ts does with cborg, in a fifth of its size, for pages; their build puts it in that file's place. Its test compares
// the two.

/** As `decodeCbor` of codec.ts. */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits): unknown {
  checkCbor(bytes, limits)
  try {
    return item(bytes, 0).value
  } catch (cause) {
    if (cause instanceof CborError) throw cause
    throw new CborError('unexpected', 'a text that is not UTF-8', { cause })
  }
}

function item(bytes: Uint8Array, offset: number): { value: unknown; end: number } {
  const head = readHead(bytes, offset)
  const { argument, end } = head
  if (head.major === major.unsigned) return { value: integer(bytes, offset, argument), end }
  if (head.major === major.negative) {
    const value = integer(bytes, offset, argument)
    const negative = typeof value === 'bigint' ? -1n - value : -1 - value
    return { value: Number.isSafeInteger(negative) || typeof negative === 'bigint' ? negative : BigInt(negative), end }
  }
  if (head.major === major.bytes) return { value: bytes.slice(end, end + argument), end: end + argument }
  if (head.major === major.text) return { value: fromUtf8(bytes.subarray(end, end + argument)), end: end + argument }
  if (head.major === major.array) return array(bytes, end, argument)
  if (head.major === major.map) {
    const all = array(bytes, end, argument * 2)
    const pairs = Array.from({ length: argument }, (_, i) => [all.value[2 * i], all.value[2 * i + 1]] as const)
    return { value: new Map(pairs), end: all.end }
  }
  const simple = head.major === major.simple && head.minor < 24 ? simples.get(argument) : undefined
  if (simple === undefined) throw new CborError('unexpected', 'an item of a kind that is not used here')
  return { value: simple, end }
}

const simples = new Map<number, boolean | null>([
  [20, false],
  [21, true],
  [22, null],
])

function array(bytes: Uint8Array, start: number, count: number): { value: unknown[]; end: number } {
  const value: unknown[] = []
  let end = start
  for (let i = 0; i < count; i++) {
    const next = item(bytes, end)
    value.push(next.value)
    end = next.end
  }
  return { value, end }
}

/** Exact: beyond 2^53 - 1 as bigint. */
function integer(bytes: Uint8Array, offset: number, argument: number): number | bigint {
  if (argument <= Number.MAX_SAFE_INTEGER) return argument
  return new DataView(bytes.buffer, bytes.byteOffset + offset + 1).getBigUint64(0)
}

/** As `encodeCbor` of codec.ts. */
export function encodeCbor(value: unknown): Uint8Array {
  if (value === false) return Uint8Array.of(0xf4)
  if (value === true) return Uint8Array.of(0xf5)
  if (value === null) return Uint8Array.of(0xf6)
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return encodedInteger(BigInt(value as number))
  if (typeof value === 'string') return withHead(major.text, utf8(value))
  if (value instanceof Uint8Array) return withHead(major.bytes, value)
  if (Array.isArray(value)) return rawArray(value.map(encodeCbor))
  if (value instanceof Map) return rawMap([...value].map(encodedPair))
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return rawMap(Object.entries(value as object).map(encodedPair))
  throw new CborError('unexpected', 'a value of a kind that is not used here')
}

const encodedPair = ([key, value]: [unknown, unknown]): CborPair => ({ key: encodeCbor(key), value: encodeCbor(value) })

function encodedInteger(value: bigint): Uint8Array {
  return value < 0n ? bigHead(major.negative, -1n - value) : bigHead(major.unsigned, value)
}

function withHead(type: number, content: Uint8Array): Uint8Array {
  const head = bigHead(type, BigInt(content.length))
  const joined = new Uint8Array(head.length + content.length)
  joined.set(head)
  joined.set(content, head.length)
  return joined
}

/** The shortest head for an argument up to 2^64 - 1. */
function bigHead(type: number, argument: bigint): Uint8Array {
  if (argument < 24n) return Uint8Array.of((type << 5) | Number(argument))
  const power = argument < 0x100n ? 0 : argument < 0x1_0000n ? 1 : argument < 0x1_0000_0000n ? 2 : 3
  if (argument > 0xffff_ffff_ffff_ffffn) throw new CborError('unexpected', 'an integer that is too large')
  const head = new Uint8Array(1 + 2 ** power)
  head[0] = (type << 5) | (24 + power)
  for (let i = head.length - 1, rest = argument; i > 0; i--, rest >>= 8n) head[i] = Number(rest & 255n)
  return head
}
