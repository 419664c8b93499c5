import type { Crypto } from '../../crypto/index.ts'

/**
 * A key for each of 2^56 leaves, of which single ones can be destroyed: a tree of seeds in which each node gives its two
 * children by a hash (Goldreich, Goldwasser, Micali; a puncturable pseudorandom function). At first only the root is kept. To
 * destroy a leaf, the seed above it is replaced by the seeds beside the way to it: from these every other key follows, and
 * that one does not.
 *
 * So nothing is written when a subject is new, and a destroyed key costs the seeds of about 40 nodes.
 */
export interface KeyTree {
  /** Seeds by the way to their node, as text of 0 and 1; the root is ''. No node lies below another. */
  readonly seeds: ReadonlyMap<string, Uint8Array>
}

/** Levels. With 30 million subjects, two of them share a leaf with a probability of less than one in a hundred. */
export const treeDepth = 56

/** @param root 32 random bytes */
export function newKeyTree(root: Uint8Array): KeyTree {
  return { seeds: new Map([['', root]]) }
}

/** The leaf of a subject, by a digest of it. */
export function leafOf(digest: Uint8Array): string {
  return Array.from(digest.subarray(0, treeDepth / 8), (byte) => byte.toString(2).padStart(8, '0')).join('')
}

/** The key of a leaf, 32 bytes; undefined when it was destroyed. */
export function keyAt(hasher: Pick<Crypto, 'sha256'>, { seeds }: KeyTree, leaf: string): Uint8Array | undefined {
  for (let depth = 0; depth <= treeDepth; depth++) {
    const seed = seeds.get(leaf.slice(0, depth))
    if (seed) return descend(hasher, seed, leaf.slice(depth))
  }
  return undefined
}

/** The tree without the keys of these leaves. */
export function withoutLeaves(hasher: Pick<Crypto, 'sha256'>, tree: KeyTree, leaves: readonly string[]): KeyTree {
  const seeds = new Map(tree.seeds)
  for (const leaf of leaves) {
    const depth = Array.from({ length: treeDepth + 1 }, (_, at) => at).find((at) => seeds.has(leaf.slice(0, at)))
    if (depth === undefined) continue
    let seed = seeds.get(leaf.slice(0, depth))!
    seeds.delete(leaf.slice(0, depth))
    for (let at = depth; at < treeDepth; at++) {
      const beside = leaf[at] === '0' ? '1' : '0'
      seeds.set(leaf.slice(0, at) + beside, descend(hasher, seed, beside))
      seed = descend(hasher, seed, leaf[at]!)
    }
  }
  return { seeds }
}

function descend(hasher: Pick<Crypto, 'sha256'>, seed: Uint8Array, way: string): Uint8Array {
  let at = seed
  for (const bit of way) at = hasher.sha256(Uint8Array.of(bit === '0' ? 0 : 1), at)
  return at
}
