import { concatBytes } from '../../crypto/index.ts'
import { LogError } from './errors.ts'
import { hashBytes } from './hashes.ts'

/** Hashes in a full tile, and entries in a full bundle (C2SP tlog-tiles). */
export const tileWidth = 256
/** Levels of the tree in one tile: 2^8 = 256. */
export const tileHeight = 8
/** Bytes of an entry: its length stands in front of it in two bytes. */
export const mostEntryBytes = 65_535
/** Above this level no tile can be: 256^6 is 2^48, and sizes are exact up to 2^53 here. */
const mostLevel = 6

/** A tile of hashes, or a bundle of entries (`level` is `entries`). `width` is 256, or less for a partial one. */
export interface TileName {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** The path below the log's prefix, as `tile/0/x001/x234/067.p/8`. */
export function tilePath({ level, index, width }: TileName): string {
  let number = String(index % 1000).padStart(3, '0')
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    number = `x${String(rest % 1000).padStart(3, '0')}/${number}`
  return `tile/${level}/${number}${width === tileWidth ? '' : `.p/${width}`}`
}

const pathForm = /^tile\/(entries|\d|[1-5]\d|6[0-3])\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** Reverses `tilePath`; undefined for anything else, and for a second way to write the same. */
export function parseTilePath(path: string): TileName | undefined {
  const [, level, number, width] = pathForm.exec(path) ?? []
  if (level === undefined || number === undefined) return undefined
  const tile: TileName = {
    level: level === 'entries' ? level : Number(level),
    index: Number(number.replaceAll(/[x/]/g, '')),
    width: width === undefined ? tileWidth : Number(width),
  }
  return tile.width <= tileWidth && Number.isSafeInteger(tile.index) && tilePath(tile) === path ? tile : undefined
}

/** How many hashes the level of tiles has in a log of `size` entries. */
function levelSize(level: number, size: number): number {
  return Math.floor(size / tileWidth ** level)
}

/** How wide a tile is in a log of `size` entries; 0 where there is none. */
export function widthIn(size: number, level: number, index: number): number {
  return Math.max(0, Math.min(tileWidth, levelSize(level, size) - index * tileWidth))
}

/** The levels that have tiles in a log of `size` entries. */
export function levelsOf(size: number): number[] {
  return Array.from({ length: mostLevel + 1 }, (_, level) => level).filter((level) => levelSize(level, size) > 0)
}

/** The hashes of a tile. @throws LogError malformed */
export function splitTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.length !== width * hashBytes)
    throw new LogError('malformed', `a tile of ${width} hashes has another length`)
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * hashBytes, (i + 1) * hashBytes))
}

/** Entries, each behind its length in two bytes (C2SP tlog-tiles, entry bundles). @throws LogError malformed */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...entries.flatMap((entry) => {
      if (entry.length > mostEntryBytes) throw new LogError('malformed', 'an entry is longer than 65,535 bytes')
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]
    }),
  )
}

/** Reverses `encodeBundle`. @throws LogError malformed: not exactly `width` entries */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  while (at + 2 <= bytes.length && entries.length < width) {
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!
    if (end > bytes.length) break
    entries.push(bytes.subarray(at + 2, end))
    at = end
  }
  if (at !== bytes.length || entries.length !== width)
    throw new LogError('malformed', `a bundle does not hold exactly ${width} entries`)
  return entries
}
