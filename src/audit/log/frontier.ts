import { concatBytes } from '../../crypto/index.ts'
import { emptyRoot, type Hasher, nodeHash, perfectRoot } from './hashes.ts'
import { type TileName, tileWidth } from './tiles.ts'

/** A tile of hashes and its bytes. */
export interface Tile {
  readonly name: TileName & { readonly level: number }
  readonly bytes: Uint8Array
}

/**
 * The right edge of a tree: per level of tiles the hashes of the last tile, as long as it is not full. From it the tree
 * grows and its root follows; nothing else has to be read.
 */
export interface Frontier {
  readonly size: number
  readonly levels: readonly (readonly Uint8Array[])[]
}

export const emptyFrontier: Frontier = { size: 0, levels: [] }

/** Appends leaf hashes. `full` are the tiles that this has filled, lower levels first where one fills another. */
export function grow(
  hasher: Hasher,
  frontier: Frontier,
  leaves: readonly Uint8Array[],
): { frontier: Frontier; full: Tile[] } {
  const levels = frontier.levels.map((level) => [...level])
  const full: Tile[] = []
  let size = frontier.size
  for (const leaf of leaves) {
    size++
    let hash = leaf
    for (let level = 0; ; level++) {
      levels[level] ??= []
      const hashes = levels[level]!
      hashes.push(hash)
      if (hashes.length < tileWidth) break
      const index = size / tileWidth ** (level + 1) - 1
      full.push({ name: { level, index, width: tileWidth }, bytes: concatBytes(...hashes) })
      hash = perfectRoot(hasher, hashes)
      levels[level] = []
    }
  }
  return { frontier: { size, levels }, full }
}

/** The partial tiles at the right edge. */
export function partialTiles({ size, levels }: Frontier): Tile[] {
  return levels.flatMap((hashes, level) => {
    if (hashes.length === 0) return []
    const index = Math.floor(size / tileWidth ** (level + 1))
    return [{ name: { level, index, width: hashes.length }, bytes: concatBytes(...hashes) }]
  })
}

/** The root of the tree (RFC 6962 §2.1). */
export function rootOf(hasher: Hasher, { levels }: Frontier): Uint8Array {
  // Perfect trees, from the smallest at the right to the largest at the left.
  let root: Uint8Array | undefined
  for (const hashes of levels) {
    let end = hashes.length
    for (let width = 1; end > 0; width *= 2) {
      if ((end / width) % 2 === 0) continue
      const tree = perfectRoot(hasher, hashes.slice(end - width, end))
      root = root ? nodeHash(hasher, tree, root) : tree
      end -= width
    }
  }
  return root ?? emptyRoot(hasher)
}
