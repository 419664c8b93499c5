import type { CiphersuiteImpl, RatchetTree } from 'ts-mls'
import { encode } from 'ts-mls/codec/tlsEncoder.js'
import { parentHashInputEncoder } from 'ts-mls/parentHash.js'
import { resolution } from 'ts-mls/ratchetTree.js'
import { leafNodeHashInputEncoder, parentNodeHashInputEncoder, treeHash } from 'ts-mls/treeHash.js'
import {
  isLeaf,
  leafToNodeIndex,
  left,
  nodeToLeafIndex,
  right,
  rootFromNodeWidth,
  toLeafIndex,
  toNodeIndex,
} from 'ts-mls/treemath.js'
import { equalBytes } from '../crypto/index.ts'
import { MlsError } from './errors.ts'

type NodeIndex = ReturnType<typeof toNodeIndex>

/**
 * That each parent node is parent-hash valid (RFC 9420 §7.9.2): some node D below one of its children vouches for it by
 * its parent_hash, and all else in that child's resolution is unmerged at the parent. ts-mls checks the hashes and not the
 * second half; without it whoever invites can leave a member out of a key that everyone believes it has.
 * Throws MlsError 'invalid-tree'.
 */
export async function checkParentHashes(suite: CiphersuiteImpl, tree: RatchetTree): Promise<void> {
  const hashes = await subtreeHashes(suite, tree)
  for (const [index, node] of tree.entries()) {
    if (node?.nodeType !== 'parent') continue
    const parent = toNodeIndex(index)
    const [below, beside] = [left(parent), right(parent)]
    const vouched =
      (await isVouchedFor(suite, tree, hashes, parent, below, beside)) ||
      (await isVouchedFor(suite, tree, hashes, parent, beside, below))
    if (!vouched) throw new MlsError('invalid-tree', 'a parent node that no descendant vouches for')
  }
}

async function isVouchedFor(
  suite: CiphersuiteImpl,
  tree: RatchetTree,
  hashes: Uint8Array[],
  parent: NodeIndex,
  child: NodeIndex,
  sibling: NodeIndex,
): Promise<boolean> {
  const node = tree[parent]
  if (node?.nodeType !== 'parent') return false
  const { unmergedLeaves, hpkePublicKey, parentHash } = node.parent
  const unmerged = new Set(unmergedLeaves.map((leaf) => leafToNodeIndex(toLeafIndex(leaf))))
  const merged = resolution(tree, child).filter((each) => !unmerged.has(each))
  const vouching = merged.length === 1 ? tree[merged[0]!] : undefined
  const claimed = vouching?.nodeType === 'parent' ? vouching.parent.parentHash : leafParentHash(vouching)
  if (claimed === undefined) return false
  const [first, last] = extentOf(sibling)
  const isTouched = [...unmerged].some((each) => each >= first && each <= last)
  const input = {
    encryptionKey: hpkePublicKey,
    parentHash,
    // RFC 9420 §7.9: as it was before the unmerged leaves came
    originalSiblingTreeHash: isTouched
      ? await treeHash(tree, sibling, suite.hash, new Set(unmergedLeaves))
      : hashes[sibling]!,
  }
  return equalBytes(claimed, await suite.hash.digest(encode(parentHashInputEncoder)(input)))
}

function leafParentHash(node: RatchetTree[number]): Uint8Array | undefined {
  return node?.nodeType === 'leaf' && node.leaf.leafNodeSource === 'commit' ? node.leaf.parentHash : undefined
}

/** The leaves below a node, as the range of their node indices. */
function extentOf(node: NodeIndex): [NodeIndex, NodeIndex] {
  let [first, last] = [node, node]
  while (!isLeaf(first)) first = left(first)
  while (!isLeaf(last)) last = right(last)
  return [first, last]
}

/** Tree hashes of all subtrees (RFC 9420 §7.8), each computed once. */
async function subtreeHashes(suite: CiphersuiteImpl, tree: RatchetTree): Promise<Uint8Array[]> {
  const hashes: Uint8Array[] = []
  const visit = async (index: NodeIndex): Promise<Uint8Array> => {
    const node = tree[index]
    let input: Uint8Array
    if (isLeaf(index)) {
      const leafNode = node?.nodeType === 'leaf' ? node.leaf : undefined
      input = encode(leafNodeHashInputEncoder)({ nodeType: 'leaf', leafIndex: nodeToLeafIndex(index), leafNode })
    } else {
      const parentNode = node?.nodeType === 'parent' ? node.parent : undefined
      const leftHash = await visit(left(index))
      const rightHash = await visit(right(index))
      input = encode(parentNodeHashInputEncoder)({ nodeType: 'parent', parentNode, leftHash, rightHash })
    }
    hashes[index] = await suite.hash.digest(input)
    return hashes[index]
  }
  await visit(rootFromNodeWidth(tree.length))
  return hashes
}
