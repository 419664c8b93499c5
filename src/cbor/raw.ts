import { concatBytes } from '../crypto/index.ts'
import { CborError } from './errors.ts'
import { major, readHead, writeHead } from './head.ts'
import { compareBytes } from './scan.ts'

/** One entry of a map as encoded items. */
export interface CborPair {
  key: Uint8Array
  value: Uint8Array
}

/** The encoded items of an array, as views. For bytes that `checkCbor` has passed. Throws CborError 'unexpected'. */
export function itemsOf(bytes: Uint8Array): Uint8Array[] {
  const head = readHead(bytes, 0)
  if (head.major !== major.array) throw new CborError('unexpected', 'not an array')
  return slices(bytes, head.end, head.argument)
}

/** The encoded entries of a map, as views. For bytes that `checkCbor` has passed. Throws CborError 'unexpected'. */
export function pairsOf(bytes: Uint8Array): CborPair[] {
  const head = readHead(bytes, 0)
  if (head.major !== major.map) throw new CborError('unexpected', 'not a map')
  const items = slices(bytes, head.end, head.argument * 2)
  return Array.from({ length: head.argument }, (_, i) => ({ key: items[2 * i]!, value: items[2 * i + 1]! }))
}

/** An array of items that are already encoded. */
export function rawArray(items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(writeHead(major.array, items.length), ...items)
}

/** A map of entries that are already encoded, in the order of RFC 8949 §4.2.1. */
export function rawMap(pairs: readonly CborPair[]): Uint8Array {
  const sorted = [...pairs].sort((a, b) => compareBytes(a.key, b.key))
  return concatBytes(writeHead(major.map, pairs.length), ...sorted.flatMap(({ key, value }) => [key, value]))
}

function slices(bytes: Uint8Array, start: number, count: number): Uint8Array[] {
  const items: Uint8Array[] = []
  let offset = start
  for (let i = 0; i < count; i++) {
    const end = skip(bytes, offset)
    items.push(bytes.subarray(offset, end))
    offset = end
  }
  return items
}

function skip(bytes: Uint8Array, offset: number): number {
  const head = readHead(bytes, offset)
  if (head.major === major.bytes || head.major === major.text) return head.end + head.argument
  let children = 0
  if (head.major === major.array) children = head.argument
  if (head.major === major.map) children = head.argument * 2
  if (head.major === major.tag) children = 1
  let end = head.end
  for (let i = 0; i < children; i++) end = skip(bytes, end)
  return end
}
