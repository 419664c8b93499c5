import type { ClientState, Proposal } from 'ts-mls'
import { makePskIndex } from 'ts-mls/clientState.js'
import { createCommit as libraryCreateCommit } from 'ts-mls/createCommit.js'
import { createProposal as libraryCreateProposal } from 'ts-mls/createMessage.js'
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js'
import { leafToNodeIndex, toLeafIndex } from 'ts-mls/treemath.js'
import { bytesToBase64 } from 'ts-mls/util/byteArray.js'
import { MlsError, translating } from './errors.ts'
import { checkExtensions, toLibrary } from './extensions.ts'
import { active, checkGroup, type GroupState, groupInfoOf, wrap } from './group.ts'
import { decodeKeyPackage } from './key-package.ts'
import { maxPendingProposals } from './limits.ts'
import { encodeMessage } from './messages.ts'
import { type Committer, checkProposals, type SentProposal, validSubset } from './proposals.ts'
import type { MlsProvider } from './suite.ts'
import { leafAt } from './tree.ts'
import type { Extension, Psk } from './types.ts'

export interface CommitOptions {
  /** KeyPackages, as MLSMessages. Who they belong to and their lifetimes are to be checked before. */
  add?: readonly Uint8Array[]
  /** Leaf indices. */
  remove?: readonly number[]
  /** To be bound into the new epoch: known to all members before, and never sent. */
  psks?: readonly Psk[]
  /** Secrets of pre-shared keys that others proposed; a pending proposal of any other is left out. */
  knownPsks?: readonly Psk[]
  /** The GroupContext's extensions from now on; an empty list clears them, undefined leaves them. */
  extensions?: readonly Extension[]
  /** Authenticated data, which the hub can read. */
  aad?: Uint8Array
  /** Extensions of the GroupInfo, the one in the Welcome and the one returned. */
  groupInfoExtensions?: readonly Extension[]
  /** Commit the pending proposals too, those of them that go together. Default true. */
  withPending?: boolean
  /** New keys for the committer even if the proposals do not ask for it: only additions and pre-shared keys do not. */
  forcePath?: boolean
  /** A new credential for the own leaf, of the same signature key: a renewed certificate. Implies forcePath. */
  identity?: Uint8Array
}

export interface CommitResult {
  /** To be used once the commit was accepted, and made durable before it is sent. */
  state: GroupState
  /** MLSMessage, a PublicMessage, so that the hub can follow. */
  commit: Uint8Array
  /** MLSMessage for all added together; absent when nobody was. */
  welcome?: Uint8Array
  /** MLSMessage with the GroupInfo of the new epoch. */
  groupInfo: Uint8Array
}

/** Commits proposals and starts a new epoch (RFC 9420 §12.4). Throws MlsError 'invalid-commit' for what does not fit. */
export async function createCommit(
  mls: MlsProvider,
  state: GroupState,
  options: CommitOptions = {},
): Promise<CommitResult> {
  const inner = active(state)
  const committer: Committer = { type: 'member', index: inner.privatePath.leafIndex }
  const proposals = await proposalsOf(mls, options)
  const chosen = proposals.map((proposal): SentProposal => ({ proposal, senderLeafIndex: committer.index }))
  checkProposals(inner, chosen, committer)
  const pskIndex = pskIndexOf(inner, [...(options.knownPsks ?? []), ...(options.psks ?? [])])
  const isKnownPsk = (id: PreSharedKeyID) => pskIndex.findPsk(id) !== undefined
  const pending =
    options.withPending === false ? {} : validSubset(inner, chosen, inner.unappliedProposals, committer, isKnownPsk)
  const groupInfoExtensions = (options.groupInfoExtensions ?? []).map(toLibrary)
  checkExtensions(groupInfoExtensions)

  const from = options.identity === undefined ? inner : withIdentity(inner, options.identity)
  const { newState, commit, welcome } = await translating('invalid-commit', () =>
    libraryCreateCommit(
      {
        state: { ...from, unappliedProposals: pending },
        cipherSuite: mls.suite,
        pskIndex,
      },
      {
        wireAsPublicMessage: true,
        extraProposals: proposals,
        ratchetTreeExtension: true,
        groupInfoExtensions,
        authenticatedData: options.aad ?? new Uint8Array(),
        forcePath: options.forcePath === true || options.identity !== undefined,
      },
    ),
  )
  checkGroup(newState, 'invalid-commit')
  const next = wrap(keepingPast(newState, inner))
  return {
    state: next,
    commit: encodeMessage(commit),
    ...(welcome && { welcome: encodeMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome }) }),
    groupInfo: await groupInfoOf(mls, next, { extensions: options.groupInfoExtensions ?? [] }),
  }
}

/** ts-mls takes credential and key of the path's leaf from the committer's leaf in the tree that it is given. */
function withIdentity(state: ClientState, identity: Uint8Array): ClientState {
  const index = state.privatePath.leafIndex
  const leaf = leafAt(state.ratchetTree, index)!
  const ratchetTree = state.ratchetTree.slice()
  const renewed = { ...leaf, credential: { credentialType: 'basic' as const, identity } }
  ratchetTree[leafToNodeIndex(toLeafIndex(index))] = { nodeType: 'leaf', leaf: renewed }
  return { ...state, ratchetTree }
}

/** The past epoch is remembered with the tree that it had. */
function keepingPast(next: ClientState, before: ClientState): ClientState {
  const past = next.historicalReceiverData.get(before.groupContext.epoch)
  if (past === undefined || past.ratchetTree === before.ratchetTree) return next
  const historicalReceiverData = new Map(next.historicalReceiverData)
  historicalReceiverData.set(before.groupContext.epoch, { ...past, ratchetTree: before.ratchetTree })
  return { ...next, historicalReceiverData }
}

async function proposalsOf(mls: MlsProvider, options: CommitOptions): Promise<Proposal[]> {
  const proposals: Proposal[] = []
  for (const bytes of options.add ?? [])
    proposals.push({ proposalType: 'add', add: { keyPackage: await decodeKeyPackage(mls, bytes) } })
  for (const removed of options.remove ?? []) proposals.push({ proposalType: 'remove', remove: { removed } })
  for (const preSharedKeyId of pskIdsOf(mls, options.psks))
    proposals.push({ proposalType: 'psk', psk: { preSharedKeyId } })
  if (options.extensions !== undefined) {
    const extensions = options.extensions.map(toLibrary)
    proposals.push({ proposalType: 'group_context_extensions', groupContextExtensions: { extensions } })
  }
  return proposals
}

/** Ids of external pre-shared keys with a fresh nonce each (RFC 9420 §8.4). */
export function pskIdsOf(mls: MlsProvider, psks: readonly Psk[] = []): PreSharedKeyID[] {
  return psks.map(({ id }) => ({
    psktype: 'external',
    pskId: id,
    pskNonce: mls.suite.rng.randomBytes(mls.suite.kdf.size),
  }))
}

/** Where ts-mls finds pre-shared keys: those given, and resumption keys of this group. */
export function pskIndexOf(state: ClientState | undefined, psks: readonly Psk[] = []) {
  return makePskIndex(state, Object.fromEntries(psks.map(({ id, secret }) => [bytesToBase64(id), secret])))
}

export type ProposalOptions =
  | { add: Uint8Array }
  | { remove: number }
  | { psk: { id: Uint8Array } }
  | { extensions: readonly Extension[] }

/**
 * Proposes one change, for others to commit (RFC 9420 §12.1), as a PublicMessage. It is pending in the new state too.
 * A member that leaves proposes its own removal, since nobody may commit that of themselves.
 */
export async function createProposal(
  mls: MlsProvider,
  state: GroupState,
  options: ProposalOptions,
  aad: Uint8Array = new Uint8Array(),
): Promise<{ state: GroupState; proposal: Uint8Array }> {
  const inner = active(state)
  requireRoomForProposal(inner)
  const { newState, message } = await translating('invalid-proposal', async () =>
    libraryCreateProposal(inner, true, await proposalOf(mls, options), mls.suite, aad),
  )
  return { state: wrap(newState), proposal: encodeMessage(message) }
}

async function proposalOf(mls: MlsProvider, options: ProposalOptions): Promise<Proposal> {
  if ('remove' in options) return { proposalType: 'remove', remove: { removed: options.remove } }
  const [proposal] = await proposalsOf(mls, {
    ...('add' in options && { add: [options.add] }),
    ...('psk' in options && { psks: [{ id: options.psk.id, secret: new Uint8Array() }] }),
    ...('extensions' in options && { extensions: options.extensions }),
  })
  return proposal!
}

export function requireRoomForProposal(state: { unappliedProposals: object }): void {
  if (Object.keys(state.unappliedProposals).length >= maxPendingProposals)
    throw new MlsError('too-large', 'too many pending proposals')
}
