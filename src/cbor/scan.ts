import { CborError } from './errors.ts'
import { type Head, major, readHead } from './head.ts'

export interface CborLimits {
  /** Length of the whole in bytes. */
  bytes: number
  /** Arrays, maps and tags within each other; a text alone has depth 0. Bounds the recursion of every reader. */
  depth: number
  /** Data items of all kinds, keys included. Bounds what a few bytes can make a reader allocate. */
  items: number
}

interface Walk {
  bytes: Uint8Array
  limits: CborLimits
  items: number
}

const text = new TextDecoder('utf-8', { fatal: true })

/**
 * Walks the heads of one data item and throws CborError unless all of `bytes` is that item, within the limits, in the
 * deterministic encoding of RFC 8949 §4.2.1 and in the data model of draft-ietf-mimi-content-08 (map keys are integers
 * up to 2^53 - 1, texts or byte strings; the only NaN is 0xf97e00). Builds nothing.
 */
export function checkCbor(bytes: Uint8Array, limits: CborLimits): void {
  if (bytes.length > limits.bytes) throw new CborError('too-large', `more than ${limits.bytes} bytes`)
  const end = walkItem({ bytes, limits, items: 0 }, 0, 0)
  if (end !== bytes.length) throw new CborError('malformed', 'bytes after the item')
}

/** Walks one item that begins at `offset` and returns where it ends. */
function walkItem(walk: Walk, offset: number, depth: number): number {
  const head = readHead(walk.bytes, offset)
  if (++walk.items > walk.limits.items) throw new CborError('too-many-items', `more than ${walk.limits.items} items`)
  switch (head.major) {
    case major.unsigned:
    case major.negative:
      return head.end
    case major.bytes:
      return contentEnd(walk, head)
    case major.text:
      return walkText(walk, head)
    case major.simple:
      return walkSimple(walk, head)
    default:
      if (depth >= walk.limits.depth) throw new CborError('too-deep', `nested more than ${walk.limits.depth} deep`)
      return walkNested(walk, head, depth + 1)
  }
}

function walkNested(walk: Walk, head: Head, depth: number): number {
  if (head.major === major.tag) return walkTag(walk, head, depth)
  // every item takes a byte: a count that cannot be true is refused before the loop
  if (head.argument > walk.bytes.length - head.end) throw new CborError('malformed', 'ends within an array or map')
  if (head.major === major.map) return walkMap(walk, head, depth)
  let offset = head.end
  for (let i = 0; i < head.argument; i++) offset = walkItem(walk, offset, depth)
  return offset
}

function walkMap(walk: Walk, head: Head, depth: number): number {
  let offset = head.end
  let previous: Uint8Array | undefined
  for (let i = 0; i < head.argument; i++) {
    checkKey(readHead(walk.bytes, offset))
    const keyEnd = walkItem(walk, offset, depth)
    const key = walk.bytes.subarray(offset, keyEnd)
    if (previous) checkOrder(previous, key)
    previous = key
    offset = walkItem(walk, keyEnd, depth)
  }
  return offset
}

function checkKey(head: Head): void {
  if (head.major > major.text) throw new CborError('malformed', 'map key of another kind than integer, text or bytes')
  const most = head.major === major.negative ? Number.MAX_SAFE_INTEGER - 1 : Number.MAX_SAFE_INTEGER
  if (head.major <= major.negative && head.argument > most) throw new CborError('malformed', 'map key beyond 2^53 - 1')
}

function checkOrder(previous: Uint8Array, key: Uint8Array): void {
  const order = compareBytes(previous, key)
  if (order === 0) throw new CborError('malformed', 'map key stands twice')
  if (order > 0) throw new CborError('not-deterministic', 'map keys out of order')
}

/** Bytewise lexicographic order (RFC 8949 §4.2.1, third rule). */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

function walkTag(walk: Walk, head: Head, depth: number): number {
  if (head.argument === 2 || head.argument === 3) {
    // a bignum that fits an integer is written as one (RFC 8949 §3.4.3 and §4.2.2)
    const content = readHead(walk.bytes, head.end)
    if (content.major !== major.bytes) throw new CborError('malformed', 'bignum that is no byte string')
    if (content.argument <= 8 || walk.bytes[content.end] === 0) {
      throw new CborError('not-deterministic', 'bignum that is longer than needed')
    }
  }
  return walkItem(walk, head.end, depth)
}

function contentEnd(walk: Walk, head: Head): number {
  if (head.argument > walk.bytes.length - head.end) throw new CborError('malformed', 'ends within a string')
  return head.end + head.argument
}

function walkText(walk: Walk, head: Head): number {
  const end = contentEnd(walk, head)
  try {
    text.decode(walk.bytes.subarray(head.end, end))
  } catch (cause) {
    throw new CborError('malformed', 'text that is not UTF-8', { cause })
  }
  return end
}

function walkSimple(walk: Walk, head: Head): number {
  if (head.minor === 24 && head.argument < 32) throw new CborError('malformed', 'simple value in the wrong form')
  if (head.minor > 24 && !isShortestFloat(walk.bytes, head)) throw new CborError('not-deterministic', 'float too long')
  return head.end
}

function isShortestFloat(bytes: Uint8Array, head: Head): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (head.minor === 25) {
    const notANumber = (head.argument & 0x7c00) === 0x7c00 && (head.argument & 0x3ff) !== 0
    return !notANumber || head.argument === 0x7e00
  }
  if (head.minor === 26) return !fitsHalf(view.getFloat32(head.end - 4))
  const value = view.getFloat64(head.end - 8)
  return !Number.isNaN(value) && Math.fround(value) !== value
}

/** Whether a single-precision value (NaN included) has a half-precision form. */
function fitsHalf(value: number): boolean {
  if (!Number.isFinite(value)) return true
  const size = Math.abs(value)
  if (size < 2 ** -14) return Number.isInteger(size * 2 ** 24)
  // 11 significant bits: scaled by the exponent to 1024 … 2047, nothing is left behind the point
  return size <= 65504 && Number.isInteger(size * 2 ** (10 - Math.floor(Math.log2(size))))
}
