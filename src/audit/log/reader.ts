import { LogError } from './errors.ts'
import type { Frontier } from './frontier.ts'
import { type Hasher, nodeHash, perfectRoot } from './hashes.ts'
import { decodeBundle, levelsOf, splitTile, type TileName, tileHeight, tilePath, tileWidth, widthIn } from './tiles.ts'

/** Gives a file of a log by its path below the log's prefix; undefined when there is none. */
export type ReadFile = (path: string) => Promise<Uint8Array | undefined>

/** Reads the tiles of a log as it was when it had `size` entries. What it gives is not verified. */
export interface TileReader {
  readonly size: number
  /** The hashes of a tile. @throws LogError missing, malformed */
  tile(level: number, index: number): Promise<Uint8Array[]>
  /** The entries of a bundle. @throws LogError missing, malformed */
  bundle(index: number): Promise<Uint8Array[]>
  /** The hash over the entries from `first` up to, not including, `end`: a subtree of the tree. @throws LogError */
  range(first: number, end: number): Promise<Uint8Array>
}

/** Tiles that are kept after reading: a proof needs a few of each level. */
const mostKept = 64

export function openTiles(hasher: Hasher, read: ReadFile, size: number): TileReader {
  const kept = new Map<string, Uint8Array[]>()

  /** A partial tile may be gone once there is the full one, which begins with it (C2SP tlog-tiles, partial tiles). */
  const readTile = async <T>(name: TileName, split: (bytes: Uint8Array, width: number) => T[]): Promise<T[]> => {
    const splitNamed = (bytes: Uint8Array, width: number) => {
      try {
        return split(bytes, width)
      } catch (error) {
        if (!(error instanceof LogError)) throw error
        throw new LogError(error.code, `${tilePath({ ...name, width })}: ${error.message}`, entriesOf(name))
      }
    }
    const bytes = await read(tilePath(name))
    if (bytes) return splitNamed(bytes, name.width)
    const whole = name.width < tileWidth ? await read(tilePath({ ...name, width: tileWidth })) : undefined
    if (!whole) throw new LogError('missing', `${tilePath(name)} is not there`, entriesOf(name))
    return splitNamed(whole, tileWidth).slice(0, name.width)
  }

  const tile = async (level: number, index: number): Promise<Uint8Array[]> => {
    const key = `${level}/${index}`
    const known = kept.get(key)
    if (known) return known
    const hashes = await readTile({ level, index, width: widthIn(size, level, index) }, splitTile)
    if (kept.size >= mostKept) kept.clear()
    kept.set(key, hashes)
    return hashes
  }

  /** A perfect subtree of 2^height entries. */
  const subtree = async (height: number, index: number): Promise<Uint8Array> => {
    const level = Math.floor(height / tileHeight)
    const width = 2 ** (height % tileHeight)
    const first = index * width
    const hashes = await tile(level, Math.floor(first / tileWidth))
    const at = first % tileWidth
    if (at + width > hashes.length) throw new LogError('malformed', 'a subtree lies outside of the tree')
    return perfectRoot(hasher, hashes.slice(at, at + width))
  }

  const range = async (first: number, end: number): Promise<Uint8Array> => {
    const length = end - first
    const left = largestPower(length)
    if (left === length) return subtree(Math.log2(length), first / length)
    return nodeHash(hasher, await range(first, first + left), await range(first + left, end))
  }

  return {
    size,
    tile,
    bundle: (index) => readTile({ level: 'entries', index, width: widthIn(size, 0, index) }, decodeBundle),
    range,
  }
}

/** The largest power of two that is not above `n`. */
export function largestPower(n: number): number {
  let power = 1
  while (power * 2 <= n) power *= 2
  return power
}

/** Where a tree that is no single entry has its two children: the left one is the largest perfect tree below the whole. */
export function splitAt(first: number, end: number): number {
  const power = largestPower(end - first)
  return first + (power === end - first ? power / 2 : power)
}

/** The right edge of a log, from its tiles. Whoever relies on it compares its root to a signed one. @throws LogError */
export async function readFrontier(tiles: TileReader): Promise<Frontier> {
  const levels: Uint8Array[][] = []
  for (const level of levelsOf(tiles.size)) {
    const index = Math.floor(tiles.size / tileWidth ** (level + 1))
    levels[level] = widthIn(tiles.size, level, index) === 0 ? [] : await tiles.tile(level, index)
  }
  return { size: tiles.size, levels }
}

/** The entries that a tile or a bundle covers. */
export function entriesOf({ level, index, width }: TileName): { first: number; last: number } {
  const each = level === 'entries' ? 1 : tileWidth ** level
  const first = index * tileWidth * each
  return { first, last: first + width * each - 1 }
}
