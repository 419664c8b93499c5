import type { Crypto } from '../../crypto/index.ts'

/** Bytes of a SHA-256 hash. */
export const hashBytes = 32

/** Only the hash function of `Crypto`: what a tree needs. */
export type Hasher = Pick<Crypto, 'sha256'>

const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)

/** The hash of an entry (RFC 6962 §2.1). The prefixes keep an entry from passing for a node. */
export function leafHash(hasher: Hasher, entry: Uint8Array): Uint8Array {
  return hasher.sha256(leafPrefix, entry)
}

/** The hash of an inner node (RFC 6962 §2.1). */
export function nodeHash(hasher: Hasher, left: Uint8Array, right: Uint8Array): Uint8Array {
  return hasher.sha256(nodePrefix, left, right)
}

/** The root of a tree of nothing (RFC 6962 §2.1). */
export function emptyRoot(hasher: Hasher): Uint8Array {
  return hasher.sha256()
}

/** The root of a perfect tree over 1, 2, 4, … hashes. */
export function perfectRoot(hasher: Hasher, hashes: readonly Uint8Array[]): Uint8Array {
  let level = hashes
  while (level.length > 1) {
    const above: Uint8Array[] = []
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(hasher, level[i]!, level[i + 1]!))
    level = above
  }
  return level[0]!
}
