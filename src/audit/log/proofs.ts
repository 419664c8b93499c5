import { equalBytes } from '../../crypto/index.ts'
import { LogError } from './errors.ts'
import { emptyRoot, type Hasher, nodeHash } from './hashes.ts'
import { largestPower, splitAt, type TileReader } from './reader.ts'

/** The hashes that lead from the entry at `index` to the root (RFC 6962 §2.1.1). @throws LogError */
export async function proveInclusion(tiles: TileReader, index: number): Promise<Uint8Array[]> {
  if (!(index >= 0 && index < tiles.size)) throw new LogError('bad-proof', 'there is no such entry')
  const proof: Uint8Array[] = []
  let [first, end] = [0, tiles.size]
  while (end - first > 1) {
    const middle = splitAt(first, end)
    proof.push(await (index < middle ? tiles.range(middle, end) : tiles.range(first, middle)))
    if (index < middle) end = middle
    else first = middle
  }
  return proof.reverse()
}

/** The hashes that show that the tree of `size` entries is the beginning of this one (RFC 6962 §2.1.2). @throws LogError */
export async function proveConsistency(tiles: TileReader, size: number): Promise<Uint8Array[]> {
  if (!(size >= 0 && size <= tiles.size)) throw new LogError('bad-proof', 'there is no such size')
  if (size === 0 || size === tiles.size) return []
  const proof: Uint8Array[] = []
  let [first, end] = [0, tiles.size]
  while (end !== size) {
    const middle = splitAt(first, end)
    if (size <= middle) {
      proof.push(await tiles.range(middle, end))
      end = middle
    } else {
      proof.push(await tiles.range(first, middle))
      first = middle
    }
  }
  // The whole old tree is known to whoever asks; a part of it is not.
  if (first > 0) proof.push(await tiles.range(first, end))
  return proof.reverse()
}

/** A tree as a checkpoint states it. */
export interface TreeHead {
  readonly size: number
  readonly root: Uint8Array
}

/** Whether the entry with this leaf hash stands at `index` (RFC 9162 §2.1.3.2). @throws LogError bad-proof */
export function verifyInclusion(
  hasher: Hasher,
  proof: readonly Uint8Array[],
  { leaf, index, tree }: { leaf: Uint8Array; index: number; tree: TreeHead },
): void {
  if (!(index >= 0 && index < tree.size)) throw new LogError('bad-proof', 'there is no such entry')
  const climbed = climb(proof, { at: index, last: tree.size - 1 }, leaf, (hash, sibling, side) =>
    side === 'left' ? nodeHash(hasher, sibling, hash) : nodeHash(hasher, hash, sibling),
  )
  if (!equalBytes(climbed, tree.root)) throw new LogError('bad-proof', 'the inclusion proof leads to another root')
}

/** Whether `newer` continues `older` (RFC 9162 §2.1.4.2). @throws LogError inconsistent, bad-proof */
export function verifyConsistency(
  hasher: Hasher,
  proof: readonly Uint8Array[],
  { older, newer }: { older: TreeHead; newer: TreeHead },
): void {
  if (older.size > newer.size) throw new LogError('inconsistent', 'the log has become shorter')
  if (older.size === newer.size || older.size === 0) {
    const expected = older.size === 0 ? emptyRoot(hasher) : newer.root
    if (!equalBytes(older.root, expected)) throw new LogError('inconsistent', 'two roots for one size')
    if (proof.length > 0) throw new LogError('bad-proof', 'a proof where none is needed')
    return
  }
  const path = largestPower(older.size) === older.size ? [older.root, ...proof] : [...proof]
  const [start, ...rest] = path
  if (!start) throw new LogError('bad-proof', 'the consistency proof is too short')
  let [at, last] = [older.size - 1, newer.size - 1]
  while (at % 2 === 1) {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  let old = start
  const now = climb(rest, { at, last }, start, (hash, sibling, side) => {
    if (side === 'right') return nodeHash(hasher, hash, sibling)
    old = nodeHash(hasher, sibling, old)
    return nodeHash(hasher, sibling, hash)
  })
  if (!equalBytes(old, older.root) || !equalBytes(now, newer.root))
    throw new LogError('inconsistent', 'the log does not continue the earlier checkpoint')
}

/** Climbs from a node of the tree to its root; the sibling of a node stands at its left or at its right. */
function climb(
  proof: readonly Uint8Array[],
  { at, last }: { at: number; last: number },
  start: Uint8Array,
  join: (hash: Uint8Array, sibling: Uint8Array, side: 'left' | 'right') => Uint8Array,
): Uint8Array {
  let hash = start
  for (const sibling of proof) {
    if (last === 0) throw new LogError('bad-proof', 'the proof is too long')
    const left = at % 2 === 1 || at === last
    hash = join(hash, sibling, left ? 'left' : 'right')
    // At the right edge levels without a sibling are passed over.
    if (left && at % 2 === 0)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  if (last !== 0) throw new LogError('bad-proof', 'the proof is too short')
  return hash
}
