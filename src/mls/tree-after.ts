import type { GroupContext, RatchetTree } from 'ts-mls'
import {
  addLeafNode,
  filteredDirectPathAndCopathResolution,
  removeLeafNode,
  updateLeafNode,
} from 'ts-mls/ratchetTree.js'
import { toLeafIndex } from 'ts-mls/treemath.js'
import { applyUpdatePath } from 'ts-mls/updatePath.js'
import { toHex } from '../crypto/index.ts'
import { MlsError, translating } from './errors.ts'
import { newMemberIndex, type ResolvedCommit } from './handshake.ts'
import { checkPlacedLeaf } from './proposals.ts'
import type { MlsProvider } from './suite.ts'

interface Group {
  groupContext: GroupContext
  ratchetTree: RatchetTree
}

/** Applies the proposals in the order of RFC 9420 §12.3, then the path (§12.4.2). */
export async function treeAfter(mls: MlsProvider, group: Group, commit: ResolvedCommit): Promise<RatchetTree> {
  let tree = group.ratchetTree.slice()
  for (const { proposal, senderLeafIndex } of commit.proposals)
    if (proposal.proposalType === 'update')
      tree = updateLeafNode(tree, proposal.update.leafNode, toLeafIndex(senderLeafIndex!))
  for (const { proposal } of commit.proposals)
    if (proposal.proposalType === 'remove') tree = removeLeafNode(tree, toLeafIndex(proposal.remove.removed))
  const added = new Set<number>()
  for (const { proposal } of commit.proposals) {
    if (proposal.proposalType !== 'add') continue
    const [grown, node] = addLeafNode(tree, proposal.add.keyPackage.leafNode)
    tree = grown
    added.add(node)
  }
  const { path, committer } = commit
  if (path !== undefined) {
    const external = committer.type === 'new-member'
    const index = external ? newMemberIndex(group.ratchetTree, commit.proposals) : committer.index
    await checkPlacedLeaf(mls.suite, group.groupContext.groupId, path.leafNode, index)
    if (external) tree = addLeafNode(tree, path.leafNode)[0]
    checkPathShape(tree, index, path, added)
    tree = await translating('invalid-commit', () =>
      applyUpdatePath(tree, toLeafIndex(index), path, mls.suite.hash, external),
    )
  }
  return tree
}

/**
 * One ciphertext for each node below, new leaves left out, and no key twice (RFC 9420 §7.6, §12.4.2). A path that lacks
 * one would be accepted by the hub and by everyone but the member it leaves out.
 */
function checkPathShape(
  tree: RatchetTree,
  index: number,
  path: NonNullable<ResolvedCommit['path']>,
  added: ReadonlySet<number>,
): void {
  const nodes = filteredDirectPathAndCopathResolution(toLeafIndex(index), tree)
  const fits =
    nodes.length === path.nodes.length &&
    nodes.every(
      ({ resolution }, i) =>
        path.nodes[i]!.encryptedPathSecret.length === resolution.filter((node) => !added.has(node)).length,
    )
  const keys = [path.leafNode.hpkePublicKey, ...path.nodes.map((node) => node.hpkePublicKey)].map(toHex)
  if (!fits || new Set(keys).size !== keys.length) throw new MlsError('invalid-commit', 'a path of a wrong shape')
  if (path.leafNode.leafNodeSource !== 'commit') throw new MlsError('malformed', 'not a path leaf')
}
