import { CborError } from './errors.ts'

/** Major types of RFC 8949 §3.1. */
export const major = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const

/** The head of a data item: its major type, the argument, and where its content begins. */
export interface Head {
  major: number
  /** Low five bits of the first byte. */
  minor: number
  /** Exact up to 2^53; above that rounded, which is enough to refuse a length or a key. */
  argument: number
  end: number
}

/** Reads one head. Refuses what RFC 8949 §4.2.1 forbids: a longer argument than needed, and indefinite lengths. */
export function readHead(bytes: Uint8Array, offset: number): Head {
  const first = bytes[offset]
  if (first === undefined) throw new CborError('malformed', 'ends where an item is expected')
  const minor = first & 31
  const type = first >> 5
  if (minor < 24) return { major: type, minor, argument: minor, end: offset + 1 }
  if (minor === 31 && type >= major.bytes && type <= major.map) {
    throw new CborError('not-deterministic', 'indefinite length')
  }
  if (minor > 27) throw new CborError('malformed', 'reserved head')
  const size = 1 << (minor - 24)
  const end = offset + 1 + size
  if (end > bytes.length) throw new CborError('malformed', 'ends within a head')
  let argument = 0
  for (let i = offset + 1; i < end; i++) argument = argument * 256 + bytes[i]!
  const least = minor === 24 ? 24 : 2 ** (size * 4)
  // the argument of major type 7 is a float or a simple value, not a number with a shortest form
  if (type !== major.simple && argument < least) throw new CborError('not-deterministic', 'argument too long')
  return { major: type, minor, argument, end }
}

/** Writes the shortest head for an argument up to 2^32 - 1, as counts of items are. */
export function writeHead(type: number, argument: number): Uint8Array {
  const first = type << 5
  if (argument < 24) return Uint8Array.of(first | argument)
  if (argument < 0x100) return Uint8Array.of(first | 24, argument)
  if (argument < 0x10000) return Uint8Array.of(first | 25, argument >> 8, argument & 255)
  return Uint8Array.of(first | 26, argument >>> 24, (argument >> 16) & 255, (argument >> 8) & 255, argument & 255)
}
