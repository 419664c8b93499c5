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
 * @throws LogError missing, malformed, entry-mismatch (which names the first one), root-mismatch
 */
export async function readVerifiedRange(
  hasher: Hasher,
  { tiles, tree }: { tiles: TileReader; tree: TreeHead },
  { first, end }: { first: number; end: number },
): Promise<Uint8Array[]> {
  if (!(first >= 0 && first < end && end <= tree.size)) throw new LogError('bad-proof', 'there are no such entries')
  const entries: Uint8Array[] = []
  for (let index = Math.floor(first / tileWidth); index * tileWidth < end; index++) {
    const bundle = await tiles.bundle(index)
    const from = Math.max(0, first - index * tileWidth)
    entries.push(...bundle.slice(from, Math.min(tileWidth, end - index * tileWidth)))
  }
  const hashOf = async (from: number, to: number): Promise<Uint8Array> => {
    if (to <= first || from >= end) return tiles.range(from, to)
    if (to - from === 1) return leafHash(hasher, entries[from - first]!)
    const middle = splitAt(from, to)
    return nodeHash(hasher, await hashOf(from, middle), await hashOf(middle, to))
  }
  if (!equalBytes(await hashOf(0, tree.size), tree.root)) {
    await blameOne(hasher, tiles, first, entries)
    throw new LogError('root-mismatch', 'the entries do not lead to the root that was signed', { first, last: end - 1 })
  }
  return entries
}

/** Something in the range is not what was signed: the first entry that its own tile does not name, if there is one. */
async function blameOne(
  hasher: Hasher,
  tiles: TileReader,
  first: number,
  entries: readonly Uint8Array[],
): Promise<void> {
  for (const [at, entry] of entries.entries()) {
    const index = first + at
    const stated = (await tiles.tile(0, Math.floor(index / tileWidth)))[index % tileWidth]
    if (!stated || !equalBytes(stated, leafHash(hasher, entry)))
      throw new LogError('entry-mismatch', 'an entry is not the one that its tile names', { first: index, last: index })
  }
}
