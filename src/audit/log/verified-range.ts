import { equalBytes } from '../../crypto/index.ts'
import { LogError } from './errors.ts'
import { type Hasher, leafHash, nodeHash } from './hashes.ts'
import type { TreeHead } from './proofs.ts'
import { splitAt, type TileReader } from './reader.ts'
import { tileWidth } from './tiles.ts'

/**
 * The entries from `first` up to, not including, `end`, proven against a signed tree head: their hashes and those of the
 * tree beside them have to give its root. What lies beside them is taken from tiles, which nobody has to believe: a wrong
 * one does not lead to the root.
 *
 * @throws LogError no-entry, missing, malformed, entry-mismatch (which names the first one), root-mismatch
 */
export async function readVerifiedRange(
  hasher: Hasher,
  { tiles, tree }: { tiles: TileReader; tree: TreeHead },
  { first, end }: { first: number; end: number },
): Promise<Uint8Array[]> {
  if (!(first >= 0 && first < end && end <= tree.size))
    throw new LogError('no-entry', `there is no entry ${Math.max(first, end - 1)}: the log has ${tree.size} entries`)
  const entries: Uint8Array[] = []
  for (let index = Math.floor(first / tileWidth); index * tileWidth < end; index++) {
    const bundle = await tiles.bundle(index)
    const from = Math.max(0, first - index * tileWidth)
    entries.push(...bundle.slice(from, Math.min(tileWidth, end - index * tileWidth)))
  }
  const leaves = entries.map((entry) => leafHash(hasher, entry))
  if (!(await leadToRoot(hasher, { tiles, tree }, first, leaves))) {
    await blameOne(tiles, first, leaves)
    throw new LogError(
      'root-mismatch',
      'the entries, with the tiles beside them, do not lead to the root that was signed',
      { first, last: end - 1 },
    )
  }
  return entries
}

/**
 * The leaf hashes of one tile, proven against a signed tree head: whoever has them needs no proof for any of its entries.
 *
 * @throws LogError missing, malformed, tile-mismatch
 */
export async function readVerifiedLeaves(
  hasher: Hasher,
  { tiles, tree }: { tiles: TileReader; tree: TreeHead },
  index: number,
): Promise<readonly Uint8Array[]> {
  // Read once: what is proven has to be what is handed out.
  const leaves = await tiles.tile(0, index)
  const first = index * tileWidth
  if (await leadToRoot(hasher, { tiles, tree }, first, leaves)) return leaves
  const last = first + leaves.length - 1
  throw new LogError('tile-mismatch', 'a tile does not lead to the root that was signed', { first, last })
}

/** Whether leaf hashes, from `first` on, give the tree's root together with what the tiles say of the rest. */
async function leadToRoot(
  hasher: Hasher,
  { tiles, tree }: { tiles: TileReader; tree: TreeHead },
  first: number,
  leaves: readonly Uint8Array[],
): Promise<boolean> {
  const end = first + leaves.length
  const hashOf = async (from: number, to: number): Promise<Uint8Array> => {
    if (to <= first || from >= end) return tiles.range(from, to)
    if (to - from === 1) return leaves[from - first]!
    const middle = splitAt(from, to)
    return nodeHash(hasher, await hashOf(from, middle), await hashOf(middle, to))
  }
  return end <= tree.size && leaves.length > 0 && equalBytes(await hashOf(0, tree.size), tree.root)
}

/** Something in the range is not what was signed: the first entry that its own tile does not name, if there is one. */
async function blameOne(tiles: TileReader, first: number, leaves: readonly Uint8Array[]): Promise<void> {
  for (const [at, leaf] of leaves.entries()) {
    const index = first + at
    const stated = (await tiles.tile(0, Math.floor(index / tileWidth)))[index % tileWidth]
    if (!stated || !equalBytes(stated, leaf))
      throw new LogError('entry-mismatch', 'an entry is not the one that its tile names', { first: index, last: index })
  }
}
