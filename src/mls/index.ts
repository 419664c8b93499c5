/**
 * Groups by MLS (RFC 9420) for their members: pure operations over ts-mls, state in, state out. The provider of
 * cryptography comes as an argument (`provider-node.ts` or `provider-web.ts`, imported by their path so that a browser
 * bundle never sees node:crypto).
 *
 * This room knows keys, trees and extensions, and nothing of accounts or rooms: whether a leaf belongs to whom it says is
 * asked of the caller, for every leaf. It must never accept a leaf unasked, and never touch storage or network. A hub
 * imports `public.ts` instead.
 */
export { encryptMessage, largestPlaintext } from './application.ts'
export {
  type CommitOptions,
  type CommitResult,
  createCommit,
  createProposal,
  type ProposalOptions,
} from './commit.ts'
export { MlsError, type MlsErrorCode } from './errors.ts'
export {
  extensionTypes,
  externalSenderExtension,
  readExternalSenders,
  requiredExtensionsExtension,
} from './extensions.ts'
export {
  type CreateGroupOptions,
  contextBytesOf,
  createGroup,
  epochAuthenticator,
  epochOf,
  exportSecret,
  extensionsOf,
  type GroupState,
  groupIdOf,
  groupInfoOf,
  isActive,
  leavesOf,
  ownLeafIndex,
  pendingProposals,
} from './group.ts'
export {
  type ExternalJoinOptions,
  type ExternalJoinResult,
  joinByWelcome,
  joinExternally,
  type WelcomeOptions,
  type WelcomeResult,
} from './join.ts'
export { type KeyPackageView, readKeyPackage } from './key-package.ts'
export {
  type GeneratedKeyPackage,
  generateKeyPackage,
  type KeyPackageOptions,
  type StoredKeyPackage,
} from './own-key-package.ts'
export { type MessagePeek, peekMessage } from './peek.ts'
export { type Processed, type ProcessOptions, processMessage } from './process.ts'
export { judgeRoomCommit } from './room-commit.ts'
export {
  decodeCommitData,
  encodeCommitData,
  type ManifestMark,
  type ManifestMarks,
  manifestsExtension,
  mostCommitManifests,
  type RoomKind,
  readManifests,
  readRoom,
  roomExtension,
  withRoom,
} from './room-extensions.ts'
export { decodeState, type EncodedState, encodeRatchetsOf, encodeState } from './state.ts'
export type { MlsProvider, SuiteName } from './suite.ts'
export type {
  AuthenticateLeaf,
  CommitView,
  Extension,
  LeafClaim,
  LeafView,
  ProposalView,
  Psk,
  SenderView,
} from './types.ts'
