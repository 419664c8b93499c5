import type { GroupContext, Proposal, RatchetTree } from 'ts-mls'
import { findBlankLeafNodeIndexOrExtend, removeLeafNode } from 'ts-mls/ratchetTree.js'
import type { Sender } from 'ts-mls/sender.js'
import { nodeToLeafIndex, toLeafIndex } from 'ts-mls/treemath.js'
import type { UpdatePath } from 'ts-mls/updatePath.js'
import { equalBytes } from '../crypto/index.ts'
import { MlsError } from './errors.ts'
import { readExternalSenders } from './extensions.ts'
import { type Committer, checkProposals, type SentProposal, viewOf } from './proposals.ts'
import { checkLeaf, claimOf, indexOfKey, leafAt, viewAt } from './tree.ts'
import type { CommitView, LeafView, SenderView } from './types.ts'

interface Group {
  groupContext: GroupContext
  ratchetTree: RatchetTree
}

/** A commit with its proposals looked up: what both a member and the hub can see of it. */
export interface ResolvedCommit {
  committer: Committer
  proposals: SentProposal[]
  path: UpdatePath | undefined
  aad: Uint8Array
}

export function senderOf(sender: Sender): SenderView {
  if (sender.senderType === 'member') return { type: 'member', index: sender.leafIndex }
  if (sender.senderType === 'external') return { type: 'external', index: sender.senderIndex }
  return { type: 'new-member' }
}

export function committerOf(sender: Sender): Committer {
  if (sender.senderType === 'member') return { type: 'member', index: sender.leafIndex }
  if (sender.senderType === 'new_member_commit') return { type: 'new-member' }
  throw new MlsError('invalid-commit', 'a commit from someone who may not')
}

// RFC 9420 §12.1.8: what may be proposed from outside, and by those who want to join
const fromOutside: readonly Proposal['proposalType'][] = ['add', 'remove', 'psk', 'reinit', 'group_context_extensions']

/** Whether this sender may make this proposal (RFC 9420 §12.1). The commit's own rules come when it is committed. */
export function checkProposalRules(group: Group, sender: Sender, sent: SentProposal): void {
  const type = sent.proposal.proposalType
  const refuse = (message: string) => new MlsError('invalid-proposal', message)
  if (typeof type === 'number') throw new MlsError('unsupported', 'proposal type not supported')
  if (type === 'external_init') throw refuse('external_init is for commits')
  if (sender.senderType === 'external') {
    if (!fromOutside.includes(type)) throw refuse('not to be proposed from outside')
    const extension = group.groupContext.extensions.find((each) => each.extensionType === 'external_senders')
    const senders = extension === undefined ? [] : readExternalSenders(extension.extensionData)
    if (senders[sender.senderIndex] === undefined) throw refuse('no such external sender')
  } else if (sender.senderType === 'new_member_proposal') {
    if (type !== 'add') throw refuse('a new member may propose its own addition only')
  } else if (sender.senderType !== 'member') throw refuse('a proposal from someone who may not')
  if (sent.proposal.proposalType === 'remove' && leafAt(group.ratchetTree, sent.proposal.remove.removed) === undefined)
    throw refuse('removal of an empty leaf')
  if (
    sent.proposal.proposalType === 'add' &&
    (sent.proposal.add.keyPackage.cipherSuite !== group.groupContext.cipherSuite ||
      sent.proposal.add.keyPackage.version !== group.groupContext.version)
  )
    throw refuse('a KeyPackage of another suite')
}

/** All rules of RFC 9420 §12.2 and §12.4 that need no secret and no signature. */
export function checkCommitRules(group: Group, commit: ResolvedCommit, pathRequired: boolean): void {
  checkProposals(group, commit.proposals, commit.committer)
  if (commit.path === undefined) {
    if (pathRequired) throw new MlsError('invalid-commit', 'a path is required')
    return
  }
  checkLeaf(commit.path.leafNode, group.groupContext.cipherSuite, 'invalid-commit')
  if (commit.committer.type === 'member') return
  for (const { proposal } of commit.proposals) {
    if (proposal.proposalType !== 'remove') continue
    // RFC 9420 §12.4.3.2: only the joiner's own former leaf. Otherwise anyone could throw anyone out from outside.
    const former = leafAt(group.ratchetTree, proposal.remove.removed)
    if (former === undefined || !isSameClient(former, commit.path.leafNode))
      throw new MlsError('invalid-commit', 'an external commit removes a leaf of someone else')
  }
}

function isSameClient(a: Parameters<typeof claimOf>[0], b: Parameters<typeof claimOf>[0]): boolean {
  return equalBytes(a.signaturePublicKey, b.signaturePublicKey)
}

/** The leaf that an external commit will fill: the leftmost that is empty after its removal. */
export function newMemberIndex(tree: RatchetTree, proposals: readonly SentProposal[]): number {
  let after = tree
  for (const { proposal } of proposals)
    if (proposal.proposalType === 'remove') after = removeLeafNode(after, toLeafIndex(proposal.remove.removed))
  return nodeToLeafIndex(findBlankLeafNodeIndexOrExtend(after))
}

/** What the commit did, from the trees before and after it. */
export function commitView(before: RatchetTree, after: RatchetTree, commit: ResolvedCommit): CommitView {
  const { committer, path, proposals } = commit
  const external = committer.type === 'new-member'
  const index = external ? newMemberIndex(before, proposals) : committer.index
  const own: LeafView = path === undefined ? viewAt(before, index) : { index, ...claimOf(path.leafNode) }
  const added: LeafView[] = external ? [own] : []
  const removed: LeafView[] = []
  const updated: LeafView[] = external || path === undefined ? [] : [own]
  for (const { proposal, senderLeafIndex } of proposals) {
    if (proposal.proposalType === 'remove') removed.push(viewAt(before, proposal.remove.removed))
    else if (proposal.proposalType === 'update')
      updated.push({ index: senderLeafIndex!, ...claimOf(proposal.update.leafNode) })
    else if (proposal.proposalType === 'add') {
      const leaf = claimOf(proposal.add.keyPackage.leafNode)
      const place = indexOfKey(after, leaf.signatureKey)
      if (place === undefined) throw new MlsError('invalid-commit', 'an added leaf is missing')
      added.push({ index: place, ...leaf })
    }
  }
  return {
    sender: external ? { type: 'new-member' } : { type: 'member', index },
    committer: own,
    aad: commit.aad,
    added,
    removed,
    updated,
    proposals: proposals.map((sent) => ({
      ...viewOf(sent),
      ...(sent.senderLeafIndex !== undefined && { by: sent.senderLeafIndex }),
    })),
    external,
  }
}
