import type { ClientState } from 'ts-mls'
import type { AuthenticatedContent, AuthenticatedContentCommit } from 'ts-mls/authenticatedContent.js'
import { isPathRequired, processProposal } from 'ts-mls/clientState.js'
import { acceptAll } from 'ts-mls/incomingMessageAction.js'
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js'
import { unprotectPublicMessage } from 'ts-mls/messageProtectionPublic.js'
import { processCommit } from 'ts-mls/processMessages.js'
import { bytesToBase64 } from 'ts-mls/util/byteArray.js'
import { equalBytes } from '../crypto/index.ts'
import { openApplication } from './application.ts'
import { pskIndexOf, requireRoomForProposal } from './commit.ts'
import { MlsError, translating } from './errors.ts'
import { active, checkGroup, type GroupState, wrap } from './group.ts'
import {
  checkCommitRules,
  checkProposalRules,
  committerOf,
  commitView,
  type ResolvedCommit,
  senderOf,
} from './handshake.ts'
import { decodeMessage } from './messages.ts'
import { checkOwnKeys } from './own-keys.ts'
import { authenticated, checkBroughtLeaf, resolveProposals, type SentProposal, viewOf } from './proposals.ts'
import type { MlsProvider } from './suite.ts'
import type { AuthenticateLeaf, CommitView, LeafView, ProposalView, Psk, SenderView } from './types.ts'

export interface ProcessOptions {
  authenticate: AuthenticateLeaf
  psks?: readonly Psk[]
}

export type Processed =
  | { kind: 'application'; state: GroupState; sender: LeafView; plaintext: Uint8Array; aad: Uint8Array }
  | { kind: 'proposal'; state: GroupState; sender: SenderView; aad: Uint8Array; proposal: ProposalView }
  /** After `selfRemoved` the state is of no further use but to be told that it is not active. */
  | ({ kind: 'commit'; state: GroupState; selfRemoved: boolean } & CommitView)

/**
 * Takes one message of the group, in the log's order: application data, a proposal or another's commit. One's own commit
 * is not processed but adopted, as the state that `createCommit` gave. Throws MlsError; the old state stays good then.
 */
export async function processMessage(
  mls: MlsProvider,
  state: GroupState,
  bytes: Uint8Array,
  options: ProcessOptions,
): Promise<Processed> {
  const inner = active(state)
  const message = decodeMessage(bytes, 'mls_public_message', 'mls_private_message')
  if (message.wireformat === 'mls_private_message') {
    const { privateMessage } = message
    requireGroup(inner, privateMessage.groupId)
    if (privateMessage.contentType === 'application')
      return { kind: 'application', ...(await openApplication(mls, inner, privateMessage)) }
    requireEpoch(inner, privateMessage.epoch)
    const { content, tree } = await translating('undecryptable', () =>
      unprotectPrivateMessage(
        inner.keySchedule.senderDataSecret,
        privateMessage,
        inner.secretTree,
        inner.ratchetTree,
        inner.groupContext,
        inner.clientConfig.keyRetentionConfig,
        mls.suite,
      ),
    )
    return processHandshake(mls, { ...inner, secretTree: tree }, content, 'mls_private_message', options)
  }
  const { publicMessage } = message
  requireGroup(inner, publicMessage.content.groupId)
  requireEpoch(inner, publicMessage.content.epoch)
  const content = await translating('bad-signature', () =>
    unprotectPublicMessage(
      inner.keySchedule.membershipKey,
      inner.groupContext,
      inner.ratchetTree,
      publicMessage,
      mls.suite,
    ),
  )
  return processHandshake(mls, inner, content, 'mls_public_message', options)
}

async function processHandshake(
  mls: MlsProvider,
  state: ClientState,
  content: AuthenticatedContent,
  wireFormat: 'mls_public_message' | 'mls_private_message',
  options: ProcessOptions,
): Promise<Processed> {
  const framed = content.content
  if (framed.contentType === 'proposal') {
    requireRoomForProposal(state)
    const senderLeafIndex = framed.sender.senderType === 'member' ? framed.sender.leafIndex : undefined
    const sent: SentProposal = { proposal: framed.proposal, senderLeafIndex }
    checkProposalRules(state, framed.sender, sent)
    await checkBroughtLeaf(mls.suite, state, sent, options.authenticate)
    const next = await translating('invalid-proposal', () =>
      processProposal(state, { ...content, content: framed }, framed.proposal, mls.suite.hash),
    )
    return {
      kind: 'proposal',
      state: wrap(next),
      sender: senderOf(framed.sender),
      aad: framed.authenticatedData,
      proposal: viewOf(sent),
    }
  }
  if (framed.contentType !== 'commit') throw new MlsError('malformed', 'application data in the clear')
  const committer = committerOf(framed.sender)
  const resolved: ResolvedCommit = {
    committer,
    path: framed.commit.path,
    aad: framed.authenticatedData,
    proposals: resolveProposals(framed.commit.proposals, state.unappliedProposals, committer, bytesToBase64),
  }
  checkCommitRules(state, resolved, isPathRequired(resolved.proposals))
  const pskIndex = pskIndexOf(state, options.psks)
  for (const { proposal } of resolved.proposals) {
    if (proposal.proposalType === 'psk' && pskIndex.findPsk(proposal.psk.preSharedKeyId) === undefined)
      throw new MlsError('missing-psk', 'a pre-shared key that is not known here')
  }
  for (const sent of resolved.proposals) await checkBroughtLeaf(mls.suite, state, sent, options.authenticate)
  if (resolved.path !== undefined) await authenticated(options.authenticate, resolved.path.leafNode)

  const commit: AuthenticatedContentCommit = { ...content, content: framed }
  const { newState } = await translating('invalid-commit', () =>
    processCommit(state, commit, wireFormat, pskIndex, acceptAll, mls.suite),
  )
  const selfRemoved = newState.groupActiveState.kind === 'removedFromGroup'
  if (!selfRemoved) {
    checkGroup(newState, 'invalid-commit')
    checkOwnKeys(mls, newState, 'invalid-commit')
  }
  return {
    kind: 'commit',
    state: wrap(newState),
    selfRemoved,
    ...commitView(state.ratchetTree, newState.ratchetTree, resolved),
  }
}

function requireGroup(state: ClientState, groupId: Uint8Array): void {
  if (!equalBytes(state.groupContext.groupId, groupId)) throw new MlsError('wrong-group', 'a message of another group')
}

function requireEpoch(state: ClientState, epoch: bigint): void {
  if (state.groupContext.epoch !== epoch) throw new MlsError('wrong-epoch', 'a message of another epoch')
}
