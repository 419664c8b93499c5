import type { ClientState, GroupInfo } from 'ts-mls'
import { createGroup as libraryCreateGroup } from 'ts-mls/clientState.js'
import { createGroupInfoWithExternalPubAndRatchetTree } from 'ts-mls/createCommit.js'
import { encodeGroupContext } from 'ts-mls/groupContext.js'
import { mlsExporter } from 'ts-mls/keySchedule.js'
import type { KeyPair } from '../crypto/index.ts'
import { clientConfig } from './config.ts'
import { MlsError, translating } from './errors.ts'
import { checkExtensions, fromLibrary, toLibrary } from './extensions.ts'
import { encodeMessage } from './messages.ts'
import { makeKeyPackage } from './own-key-package.ts'
import { viewOf } from './proposals.ts'
import type { MlsProvider } from './suite.ts'
import { checkMembers, checkTree, leaves } from './tree.ts'
import type { Extension, LeafView, ProposalView } from './types.ts'

declare const groupState: unique symbol

/**
 * One member's view of a group in one epoch, with its secrets. A value: operations give a new one and leave the old as it
 * was. The old one must not be used to send once the new one was, since that reuses keys (design §11.3).
 */
export interface GroupState {
  readonly [groupState]: true
}

export function wrap(state: ClientState): GroupState {
  return state as unknown as GroupState
}

export function inside(state: GroupState): ClientState {
  return state as unknown as ClientState
}

/** The state of a member that may still act. Throws MlsError 'not-active'. */
export function active(state: GroupState): ClientState {
  const inner = inside(state)
  if (inner.groupActiveState.kind !== 'active') throw new MlsError('not-active', 'no longer a member of this group')
  return inner
}

export interface CreateGroupOptions {
  groupId: Uint8Array
  identity: Uint8Array
  keyPair: KeyPair
  extensions: readonly Extension[]
}

/** A new group with one member, in epoch 0 (RFC 9420 §11). */
export async function createGroup(mls: MlsProvider, options: CreateGroupOptions): Promise<GroupState> {
  const { keyPackage, privateKeys } = await makeKeyPackage(mls, { ...options, notBefore: 0, notAfter: farFuture })
  const extensions = options.extensions.map(toLibrary)
  checkExtensions(extensions)
  checkMembers([keyPackage.leafNode], { cipherSuite: mls.suite.name, extensions }, 'unsupported')
  return wrap(
    await translating('unsupported', () =>
      libraryCreateGroup(options.groupId, keyPackage, privateKeys, extensions, mls.suite, clientConfig),
    ),
  )
}

/** The leaf of one's own making states no lifetime of its own: the certificates in it do. 9999-12-31. */
export const farFuture = 253_402_300_799

export function epochOf(state: GroupState): bigint {
  return inside(state).groupContext.epoch
}

export function groupIdOf(state: GroupState): Uint8Array {
  return inside(state).groupContext.groupId
}

/** Extensions of the GroupContext. */
export function extensionsOf(state: GroupState): Extension[] {
  return inside(state).groupContext.extensions.map(fromLibrary)
}

/** All members, from left to right. */
export function leavesOf(state: GroupState): LeafView[] {
  return leaves(inside(state).ratchetTree)
}

export function ownLeafIndex(state: GroupState): number {
  return inside(state).privatePath.leafIndex
}

/** The GroupContext as it goes into the key schedule (RFC 9420 §8.1): equal for all who agree on the epoch. */
export function contextBytesOf(state: GroupState): Uint8Array {
  return encodeGroupContext(inside(state).groupContext)
}

/** False once this member was removed, or while the group is suspended for its replacement (ReInit). */
export function isActive(state: GroupState): boolean {
  return inside(state).groupActiveState.kind === 'active'
}

/** Proposals that wait for a commit. While there are any, application data may not be sent (RFC 9420 §12.4). */
export function pendingProposals(state: GroupState): ProposalView[] {
  return Object.values(inside(state).unappliedProposals).map(viewOf)
}

/** A secret of this epoch that all members and nobody else can derive (RFC 9420 §8.5); length in bytes. */
export function exportSecret(
  mls: MlsProvider,
  state: GroupState,
  label: string,
  context: Uint8Array,
  length: number,
): Promise<Uint8Array> {
  return mlsExporter(inside(state).keySchedule.exporterSecret, label, context, length, mls.suite)
}

/** Equal for all members who agree on the epoch (RFC 9420 §8.7). */
export function epochAuthenticator(state: GroupState): Uint8Array {
  return inside(state).keySchedule.epochAuthenticator
}

/**
 * MLSMessage with the GroupInfo of this epoch, the ratchet tree and the key for external commits in it: enough to join
 * (RFC 9420 §12.4.3.2).
 */
export async function groupInfoOf(
  mls: MlsProvider,
  state: GroupState,
  { extensions = [] }: { extensions?: readonly Extension[] } = {},
): Promise<Uint8Array> {
  const inner = active(state)
  const own = extensions.map(toLibrary)
  checkExtensions(own)
  const groupInfo: GroupInfo = await createGroupInfoWithExternalPubAndRatchetTree(inner, own, mls.suite)
  return encodeMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo })
}

/** The rules over the whole tree that ts-mls does not check; after each change of it. */
export function checkGroup(state: ClientState, code: 'invalid-commit' | 'invalid-tree'): void {
  checkTree(state.ratchetTree, state.groupContext, code)
}
