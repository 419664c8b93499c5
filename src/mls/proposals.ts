import type { CiphersuiteImpl, GroupContext, KeyPackage, Proposal, RatchetTree } from 'ts-mls'
import { encode } from 'ts-mls/codec/tlsEncoder.js'
import { getCiphersuiteFromName } from 'ts-mls/crypto/ciphersuite.js'
import { verifyKeyPackage } from 'ts-mls/keyPackage.js'
import {
  type LeafNode,
  type LeafNodeUpdate,
  verifyLeafNodeSignature,
  verifyLeafNodeSignatureKeyPackage,
} from 'ts-mls/leafNode.js'
import { type PreSharedKeyID, pskIdEncoder } from 'ts-mls/presharedkey.js'
import type { UnappliedProposals } from 'ts-mls/unappliedProposals.js'
import { equalBytes, toHex } from '../crypto/index.ts'
import { MlsError } from './errors.ts'
import { checkExtensions, fromLibrary, readExternalSenders } from './extensions.ts'
import { isUsableHpkeKey } from './hpke-key.ts'
import { maxCommitProposals } from './limits.ts'
import { hashSizes } from './platform.ts'
import { checkLeaf, checkMembers, claimOf, encryptionKeys, leafAt } from './tree.ts'
import type { AuthenticateLeaf, LeafClaim, ProposalView } from './types.ts'

/** A proposal and the leaf that made it; undefined for one from outside the group. */
export type SentProposal = UnappliedProposals[string]

/** Whoever commits: a member by its leaf, or someone who joins by this commit. */
export type Committer = { type: 'member'; index: number } | { type: 'new-member' }

interface Group {
  groupContext: GroupContext
  ratchetTree: RatchetTree
}

export function viewOf({ proposal, senderLeafIndex }: SentProposal): ProposalView {
  switch (proposal.proposalType) {
    case 'add':
      return { type: 'add', leaf: claimOf(proposal.add.keyPackage.leafNode) }
    case 'update':
      return { type: 'update', index: senderLeafIndex!, leaf: claimOf(proposal.update.leafNode) }
    case 'remove':
      return { type: 'remove', index: proposal.remove.removed }
    case 'psk': {
      const id = proposal.psk.preSharedKeyId
      return { type: 'psk', id: id.psktype === 'external' ? id.pskId : new Uint8Array() }
    }
    case 'group_context_extensions':
      return { type: 'extensions', extensions: proposal.groupContextExtensions.extensions.map(fromLibrary) }
    case 'reinit':
      return { type: 'reinit' }
    case 'external_init':
      return { type: 'external-init' }
    default:
      throw new MlsError('unsupported', 'proposal type not supported')
  }
}

/**
 * The rules of RFC 9420 §12.2 for the list of proposals of one commit, by which a committer chooses and everyone who
 * receives checks. Throws MlsError 'invalid-commit' or 'unsupported'. Signatures are checked elsewhere.
 */
export function checkProposals(group: Group, proposals: readonly SentProposal[], committer: Committer): void {
  if (proposals.length > maxCommitProposals) throw new MlsError('too-large', 'too many proposals in a commit')
  const types = proposals.map(({ proposal }) => proposal.proposalType)
  const count = (type: Proposal['proposalType']) => types.filter((each) => each === type).length
  if (count('group_context_extensions') > 1) throw invalid('extensions proposed twice')
  if (count('reinit') > 0 && proposals.length > 1) throw invalid('reinit is not alone')
  if (committer.type === 'new-member') {
    // RFC 9420 §12.4.3.2
    if (count('external_init') !== 1) throw invalid('an external commit has one external_init')
    if (count('remove') > 1) throw invalid('an external commit removes one leaf at most')
    if (types.some((type) => type !== 'external_init' && type !== 'remove' && type !== 'psk'))
      throw invalid('a proposal that an external commit may not have')
  } else if (count('external_init') > 0) throw invalid('external_init from a member')

  const keysInTree = new Set(encryptionKeys(group.ratchetTree))
  const isFresh = ({ hpkePublicKey }: LeafNode) => !keysInTree.has(toHex(hpkePublicKey))
  const touched = new Set<number>()
  const pskIds = new Set<string>()
  for (const { proposal, senderLeafIndex } of proposals) {
    if (proposal.proposalType === 'update' || proposal.proposalType === 'remove') {
      const index = proposal.proposalType === 'remove' ? proposal.remove.removed : senderLeafIndex
      if (index === undefined) throw invalid('an update from outside')
      if (committer.type === 'member' && index === committer.index) throw invalid('a proposal on the committer itself')
      if (touched.has(index)) throw invalid('two proposals on one leaf')
      touched.add(index)
      if (leafAt(group.ratchetTree, index) === undefined) throw invalid('a proposal on an empty leaf')
      if (proposal.proposalType === 'update' && !isFresh(proposal.update.leafNode))
        throw invalid('an update without a new key')
    } else if (proposal.proposalType === 'psk') {
      checkPskId(group.groupContext, proposal.psk.preSharedKeyId)
      const id = toHex(encode(pskIdEncoder)(proposal.psk.preSharedKeyId))
      if (pskIds.has(id)) throw invalid('a pre-shared key twice')
      pskIds.add(id)
    } else if (proposal.proposalType === 'add') {
      checkAddedPackage(group.groupContext, proposal.add.keyPackage)
      if (!isFresh(proposal.add.keyPackage.leafNode)) throw invalid('a KeyPackage with a key of the tree')
    } else if (proposal.proposalType === 'group_context_extensions')
      checkContextExtensions(proposal.groupContextExtensions.extensions)
    else if (typeof proposal.proposalType === 'number') throw new MlsError('unsupported', 'proposal type not supported')
  }
  const context = { ...group.groupContext, extensions: extensionsAfter(group, proposals) }
  checkMembers(membersAfter(group.ratchetTree, proposals), context, 'invalid-commit')
}

/** RFC 9420 §12.1.4: a nonce of the KDF's size, and no resumption but within the group. */
function checkPskId(context: GroupContext, id: PreSharedKeyID): void {
  const size = hashSizes[getCiphersuiteFromName(context.cipherSuite).hash]
  if (id.pskNonce.length !== size) throw invalid('a pre-shared key with a nonce of a wrong size')
  if (id.psktype === 'resumption' && id.usage !== 'application') throw invalid('a branch or replacement in a commit')
}

/** Those that this room understands have to be well-formed: later steps rely on them. */
function checkContextExtensions(extensions: GroupContext['extensions']): void {
  checkExtensions(extensions)
  for (const { extensionType, extensionData } of extensions)
    if (extensionType === 'external_senders') readExternalSenders(extensionData)
}

function checkAddedPackage(context: GroupContext, keyPackage: KeyPackage): void {
  if (keyPackage.cipherSuite !== context.cipherSuite || keyPackage.version !== context.version)
    throw invalid('a KeyPackage of another suite or version')
  if (!isUsableHpkeKey(context.cipherSuite, keyPackage.initKey)) throw invalid('an init key that nobody can encrypt to')
  if (equalBytes(keyPackage.initKey, keyPackage.leafNode.hpkePublicKey)) throw invalid('init and encryption key equal')
}

export function extensionsAfter(group: Group, proposals: readonly SentProposal[]): GroupContext['extensions'] {
  for (const { proposal } of proposals)
    if (proposal.proposalType === 'group_context_extensions') return proposal.groupContextExtensions.extensions
  return group.groupContext.extensions
}

/** All leaves as they are after the proposals, before the committer's path. */
function membersAfter(tree: RatchetTree, proposals: readonly SentProposal[]): LeafNode[] {
  const removed = new Set<number>()
  const updated = new Map<number, LeafNode>()
  const added: LeafNode[] = []
  for (const { proposal, senderLeafIndex } of proposals) {
    if (proposal.proposalType === 'remove') removed.add(proposal.remove.removed)
    else if (proposal.proposalType === 'update') updated.set(senderLeafIndex!, proposal.update.leafNode)
    else if (proposal.proposalType === 'add') added.push(proposal.add.keyPackage.leafNode)
  }
  const kept: LeafNode[] = []
  for (let index = 0; 2 * index < tree.length; index++) {
    const leaf = leafAt(tree, index)
    if (leaf !== undefined && !removed.has(index)) kept.push(updated.get(index) ?? leaf)
  }
  return [...kept, ...added]
}

/**
 * The proposals of `pending` that fit together with `chosen`, which the committer wants (RFC 9420 §12.2): removals
 * first, then the latest update of each leaf, then the rest as they came, except pre-shared keys that the committer does
 * not have. Without this one member could keep all others
 * from committing by proposing two things that exclude each other.
 */
export function validSubset(
  group: Group,
  chosen: readonly SentProposal[],
  pending: UnappliedProposals,
  committer: Committer,
  isKnownPsk: (id: PreSharedKeyID) => boolean,
): UnappliedProposals {
  const entries = Object.entries(pending).filter(
    ([, { proposal }]) => proposal.proposalType !== 'psk' || isKnownPsk(proposal.psk.preSharedKeyId),
  )
  const isType = (type: string) => (entry: (typeof entries)[number]) => entry[1].proposal.proposalType === type
  const preferred = [
    ...entries.filter(isType('remove')),
    ...entries.filter(isType('update')).reverse(),
    ...entries.filter((entry) => !isType('remove')(entry) && !isType('update')(entry)),
  ]
  const taken = new Set<string>()
  let list = [...chosen]
  for (const [reference, candidate] of preferred) {
    try {
      checkProposals(group, [...list, candidate], committer)
    } catch (error) {
      if (error instanceof MlsError) continue
      throw error
    }
    list = [...list, candidate]
    taken.add(reference)
  }
  return Object.fromEntries(entries.filter(([reference]) => taken.has(reference)))
}

/**
 * Signatures and owners of the leaves that a proposal brings. Throws MlsError 'bad-signature', 'refused-leaf' or
 * 'invalid-proposal'.
 */
export async function checkBroughtLeaf(
  suite: CiphersuiteImpl,
  group: Group,
  sent: SentProposal,
  authenticate: AuthenticateLeaf,
): Promise<void> {
  const { proposal, senderLeafIndex } = sent
  if (proposal.proposalType === 'add') {
    const { keyPackage } = proposal.add
    checkLeaf(keyPackage.leafNode, suite.name, 'invalid-proposal')
    const signed =
      (await verifyKeyPackage(keyPackage, suite.signature)) &&
      (await verifyLeafNodeSignatureKeyPackage(keyPackage.leafNode, suite.signature))
    if (!signed) throw new MlsError('bad-signature', 'the signature of a KeyPackage is wrong')
    checkExtensions(keyPackage.extensions)
    await authenticated(authenticate, keyPackage.leafNode)
  } else if (proposal.proposalType === 'update') {
    if (senderLeafIndex === undefined) throw new MlsError('invalid-proposal', 'an update from outside')
    const { leafNode } = proposal.update
    checkLeaf(leafNode, suite.name, 'invalid-proposal')
    await checkPlacedLeaf(suite, group.groupContext.groupId, leafNode, senderLeafIndex)
    await authenticated(authenticate, leafNode)
  }
}

/** The signature of a leaf that covers its group and place: from an update or a commit's path (RFC 9420 §7.2). */
export async function checkPlacedLeaf(
  suite: CiphersuiteImpl,
  groupId: Uint8Array,
  leaf: Parameters<typeof verifyLeafNodeSignature>[0] | LeafNodeUpdate,
  index: number,
): Promise<void> {
  if (!(await verifyLeafNodeSignature(leaf, groupId, index, suite.signature)))
    throw new MlsError('bad-signature', 'the signature of a leaf is wrong')
}

/** Asks who the leaf belongs to. Whatever `authenticate` throws is the cause of MlsError 'refused-leaf'. */
export async function authenticated(authenticate: AuthenticateLeaf, leaf: LeafNode | LeafClaim): Promise<void> {
  const claim = 'hpkePublicKey' in leaf ? claimOf(leaf) : leaf
  try {
    await authenticate(claim)
  } catch (cause) {
    throw new MlsError('refused-leaf', 'a leaf is not accepted', { cause })
  }
}

/** Proposals of a commit, those by reference looked up. Throws MlsError 'invalid-commit' for an unknown reference. */
export function resolveProposals(
  proposals: readonly CommitProposal[],
  pending: UnappliedProposals,
  committer: Committer,
  referenceText: (reference: Uint8Array) => string,
): SentProposal[] {
  const senderLeafIndex = committer.type === 'member' ? committer.index : undefined
  return proposals.map((each) => {
    if (each.proposalOrRefType === 'proposal') return { proposal: each.proposal, senderLeafIndex }
    // RFC 9420 §12.4.3.2: someone outside cannot know whether a proposal sent in the group is valid
    if (committer.type === 'new-member') throw invalid('a proposal by reference in an external commit')
    const sent = pending[referenceText(each.reference)]
    if (sent === undefined) throw invalid('a proposal that was not seen')
    return sent
  })
}

type CommitProposal =
  | { proposalOrRefType: 'proposal'; proposal: Proposal }
  | { proposalOrRefType: 'reference'; reference: Uint8Array }

function invalid(message: string): MlsError {
  return new MlsError('invalid-commit', message)
}
