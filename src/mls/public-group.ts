import type { GroupContext, GroupInfo, RatchetTree } from 'ts-mls'
import { makeProposalRef } from 'ts-mls/authenticatedContent.js'
import { isPathRequired, nextEpochContext, validateRatchetTree } from 'ts-mls/clientState.js'
import { verifyFramedContentSignature } from 'ts-mls/framedContent.js'
import { encodeGroupContext } from 'ts-mls/groupContext.js'
import { verifyGroupInfoSignature } from 'ts-mls/groupInfo.js'
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js'
import { findSignaturePublicKey, type PublicMessage } from 'ts-mls/publicMessage.js'
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js'
import { treeHashRoot } from 'ts-mls/treeHash.js'
import type { UnappliedProposals } from 'ts-mls/unappliedProposals.js'
import { bytesToBase64 } from 'ts-mls/util/byteArray.js'
import { equalBytes, type KeyPair } from '../crypto/index.ts'
import { clientConfig } from './config.ts'
import { MlsError, translating } from './errors.ts'
import { fromLibrary, ownExtensionsOf, readExternalSenders } from './extensions.ts'
import { checkGroupInfoShape } from './group-info.ts'
import {
  checkCommitRules,
  checkProposalRules,
  committerOf,
  commitView,
  type ResolvedCommit,
  senderOf,
} from './handshake.ts'
import { maxPendingProposals } from './limits.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { checkParentHashes } from './parent-hash.ts'
import {
  authenticated,
  checkBroughtLeaf,
  extensionsAfter,
  resolveProposals,
  type SentProposal,
  viewOf,
} from './proposals.ts'
import type { MlsProvider } from './suite.ts'
import { checkTree, leafAt, leaves, viewAt } from './tree.ts'
import { treeAfter } from './tree-after.ts'
import type { AuthenticateLeaf, CommitView, Extension, LeafView, ProposalView, SenderView } from './types.ts'

declare const publicGroup: unique symbol

/**
 * A group as anyone can follow it from its public handshakes (RFC 9420 §6.2): tree, GroupContext, pending proposals. It
 * holds no secret, so what needs one stays unchecked: confirmation tags, path secrets, membership tags. A value.
 */
export interface PublicGroup {
  readonly [publicGroup]: true
}

export interface PublicState {
  groupContext: GroupContext
  ratchetTree: RatchetTree
  confirmationTag: Uint8Array
  pending: UnappliedProposals
}

export function wrapPublic(state: PublicState): PublicGroup {
  return state as unknown as PublicGroup
}

export function insidePublic(group: PublicGroup): PublicState {
  return group as unknown as PublicState
}

/** Follows a group from one of its epochs: GroupInfo, tree and every leaf verified, every leaf authenticated. */
export async function openPublicGroup(
  mls: MlsProvider,
  bytes: Uint8Array,
  authenticate: AuthenticateLeaf,
): Promise<PublicGroup> {
  const { groupInfo } = decodeMessage(bytes, 'mls_group_info')
  const { groupContext, confirmationTag } = groupInfo
  if (groupContext.cipherSuite !== mls.suite.name) throw new MlsError('unsupported', 'another suite')
  const ratchetTree = checkGroupInfoShape(groupInfo)
  await checkSignature(mls, groupInfo, ratchetTree)
  const error = await translating('invalid-tree', () =>
    validateRatchetTree(
      ratchetTree,
      groupContext,
      clientConfig.lifetimeConfig,
      clientConfig.authService,
      groupContext.treeHash,
      mls.suite,
    ),
  )
  if (error !== undefined) throw new MlsError('invalid-tree', 'ratchet tree refused', { cause: error })
  checkTree(ratchetTree, groupContext, 'invalid-tree')
  await checkParentHashes(mls.suite, ratchetTree)
  for (const leaf of leaves(ratchetTree)) await authenticated(authenticate, leaf)
  return wrapPublic({ groupContext, ratchetTree, confirmationTag, pending: {} })
}

async function checkSignature(mls: MlsProvider, groupInfo: GroupInfo, tree: RatchetTree): Promise<void> {
  const signer = leafAt(tree, groupInfo.signer)
  if (signer === undefined) throw new MlsError('invalid-tree', 'GroupInfo signed by an empty leaf')
  if (!(await verifyGroupInfoSignature(groupInfo, signer.signaturePublicKey, mls.suite.signature)))
    throw new MlsError('bad-signature', 'the signature of a GroupInfo is wrong')
}

export type AppliedHandshake =
  | { kind: 'proposal'; group: PublicGroup; sender: SenderView; aad: Uint8Array; proposal: ProposalView }
  | ({ kind: 'commit'; group: PublicGroup } & CommitView)

/**
 * Takes a proposal or commit of the group, a PublicMessage of its epoch. Throws MlsError, and the old group stays good.
 * What is accepted here can still be wrong for members (see PublicGroup).
 */
export async function applyHandshake(
  mls: MlsProvider,
  group: PublicGroup,
  bytes: Uint8Array,
  authenticate: AuthenticateLeaf,
): Promise<AppliedHandshake> {
  const state = insidePublic(group)
  const { publicMessage } = decodeMessage(bytes, 'mls_public_message')
  const { content, auth } = publicMessage
  if (!equalBytes(content.groupId, state.groupContext.groupId)) throw new MlsError('wrong-group', 'another group')
  if (content.epoch !== state.groupContext.epoch) throw new MlsError('wrong-epoch', 'another epoch')
  await checkSender(mls, state, publicMessage)
  if (content.contentType === 'application') throw new MlsError('malformed', 'application data in the clear')
  if (content.contentType === 'proposal') {
    if (Object.keys(state.pending).length >= maxPendingProposals)
      throw new MlsError('too-large', 'too many pending proposals')
    const senderLeafIndex = content.sender.senderType === 'member' ? content.sender.leafIndex : undefined
    const sent: SentProposal = { proposal: content.proposal, senderLeafIndex }
    checkProposalRules(state, content.sender, sent)
    await checkBroughtLeaf(mls.suite, state, sent, authenticate)
    const reference = await makeProposalRef({ wireformat: 'mls_public_message', content, auth }, mls.suite.hash)
    return {
      kind: 'proposal',
      group: wrapPublic({ ...state, pending: { ...state.pending, [bytesToBase64(reference)]: sent } }),
      sender: senderOf(content.sender),
      aad: content.authenticatedData,
      proposal: viewOf(sent),
    }
  }
  if (auth.contentType !== 'commit') throw new MlsError('malformed', 'a commit without a confirmation tag')
  const committer = committerOf(content.sender)
  const commit: ResolvedCommit = {
    committer,
    path: content.commit.path,
    aad: content.authenticatedData,
    proposals: resolveProposals(content.commit.proposals, state.pending, committer, bytesToBase64),
  }
  checkCommitRules(state, commit, isPathRequired(commit.proposals))
  for (const sent of commit.proposals) await checkBroughtLeaf(mls.suite, state, sent, authenticate)
  const ratchetTree = await treeAfter(mls, state, commit)
  if (commit.path !== undefined) await authenticated(authenticate, commit.path.leafNode)
  const extensions = extensionsAfter(state, commit.proposals)
  checkTree(ratchetTree, { ...state.groupContext, extensions }, 'invalid-commit')
  const groupContext = await nextEpochContext(
    { ...state.groupContext, extensions },
    'mls_public_message',
    content,
    auth.signature,
    await treeHashRoot(ratchetTree, mls.suite.hash),
    state.confirmationTag,
    mls.suite.hash,
  )
  return {
    kind: 'commit',
    group: wrapPublic({ groupContext, ratchetTree, confirmationTag: auth.confirmationTag, pending: {} }),
    ...commitView(state.ratchetTree, ratchetTree, commit),
  }
}

async function checkSender(mls: MlsProvider, state: PublicState, message: PublicMessage): Promise<void> {
  const { content, auth } = message
  const valid = await translating('bad-signature', async () =>
    verifyFramedContentSignature(
      findSignaturePublicKey(state.ratchetTree, state.groupContext, content),
      'mls_public_message',
      content,
      auth,
      state.groupContext,
      mls.suite.signature,
    ),
  )
  if (!valid) throw new MlsError('bad-signature', 'the signature of a handshake is wrong')
}

/**
 * That a GroupInfo is of exactly this epoch of this group and signed by a member: for the one that comes with every
 * commit. Its external_pub cannot be checked without secrets. Gives the extensions besides tree and external_pub.
 */
export async function checkGroupInfo(
  mls: MlsProvider,
  group: PublicGroup,
  bytes: Uint8Array,
): Promise<{ extensions: Extension[]; signer: LeafView }> {
  const state = insidePublic(group)
  const { groupInfo } = decodeMessage(bytes, 'mls_group_info')
  if (!equalBytes(groupInfo.groupContext.groupId, state.groupContext.groupId))
    throw new MlsError('wrong-group', 'another group')
  if (groupInfo.groupContext.epoch !== state.groupContext.epoch) throw new MlsError('wrong-epoch', 'another epoch')
  const tree = checkGroupInfoShape(groupInfo)
  if (
    !equalBytes(encodeGroupContext(groupInfo.groupContext), encodeGroupContext(state.groupContext)) ||
    !equalBytes(groupInfo.confirmationTag, state.confirmationTag) ||
    !equalBytes(encodeRatchetTree(tree), encodeRatchetTree(state.ratchetTree))
  )
    throw new MlsError('invalid-tree', 'a GroupInfo of another state of this group')
  await checkSignature(mls, groupInfo, state.ratchetTree)
  if (!groupInfo.extensions.some((each) => each.extensionType === 'external_pub'))
    throw new MlsError('invalid-tree', 'a GroupInfo without external_pub')
  return { extensions: ownExtensionsOf(groupInfo.extensions), signer: viewAt(state.ratchetTree, groupInfo.signer) }
}

/** All members, from left to right. */
export function publicLeaves(group: PublicGroup): LeafView[] {
  return leaves(insidePublic(group).ratchetTree)
}

export function publicEpochOf(group: PublicGroup): bigint {
  return insidePublic(group).groupContext.epoch
}

export function publicGroupIdOf(group: PublicGroup): Uint8Array {
  return insidePublic(group).groupContext.groupId
}

/** Extensions of the GroupContext. */
export function publicExtensionsOf(group: PublicGroup): Extension[] {
  return insidePublic(group).groupContext.extensions.map(fromLibrary)
}

/** Proposals of this epoch that no commit has taken yet. */
export function publicPendingProposals(group: PublicGroup): ProposalView[] {
  return Object.values(insidePublic(group).pending).map(viewOf)
}

/** The GroupContext as it goes into the key schedule: equal for all who agree on the epoch. */
export function publicContextBytes(group: PublicGroup): Uint8Array {
  return encodeGroupContext(insidePublic(group).groupContext)
}

/**
 * The hub's proposal to remove a leaf (RFC 9420 §12.1.8.1), as the sender at `externalSenderIndex` of the group's
 * external_senders. MLSMessage, for the current epoch; it is to be applied with `applyHandshake` like any other.
 */
export async function proposeRemoval(
  mls: MlsProvider,
  group: PublicGroup,
  leafIndex: number,
  externalSenderIndex: number,
  keyPair: KeyPair,
): Promise<Uint8Array> {
  const { groupContext, ratchetTree } = insidePublic(group)
  viewAt(ratchetTree, leafIndex)
  const extension = groupContext.extensions.find((each) => each.extensionType === 'external_senders')
  const senders = extension === undefined ? [] : readExternalSenders(extension.extensionData)
  const sender = senders[externalSenderIndex]
  if (sender === undefined || !equalBytes(sender.signatureKey, keyPair.publicKey))
    throw new MlsError('invalid-proposal', 'not an external sender of this group')
  const { publicMessage } = await protectExternalProposalPublic(
    keyPair.privateKey,
    groupContext,
    new Uint8Array(),
    { proposalType: 'remove', remove: { removed: leafIndex } },
    { senderType: 'external', senderIndex: externalSenderIndex },
    mls.suite,
  )
  return encodeMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage })
}
