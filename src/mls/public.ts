/**
 * The hub's door to MLS (RFC 9420): follow a group from its public handshakes, check KeyPackages and GroupInfo, propose a
 * removal. Nothing behind this door can hold a group secret or open a message, and it must stay so: files that can are
 * imported by index.ts only.
 */
export { MlsError, type MlsErrorCode } from './errors.ts'
export {
  extensionTypes,
  externalSenderExtension,
  readExternalSenders,
} from './extensions.ts'
export { type KeyPackageView, readKeyPackage } from './key-package.ts'
export { type MessagePeek, peekMessage } from './peek.ts'
export {
  type AppliedHandshake,
  applyHandshake,
  checkGroupInfo,
  openPublicGroup,
  type PublicGroup,
  proposeRemoval,
  publicContextBytes,
  publicEpochOf,
  publicExtensionsOf,
  publicGroupIdOf,
  publicLeaves,
  publicPendingProposals,
} from './public-group.ts'
export { decodePublicGroup, encodePublicGroup } from './public-state.ts'
export { judgeRoomCommit } from './room-commit.ts'
export {
  decodeCommitData,
  type ManifestMark,
  type ManifestMarks,
  type RoomKind,
  readManifests,
  readRoom,
  roomExtension,
} from './room-extensions.ts'
export type { MlsProvider } from './suite.ts'
export type {
  AuthenticateLeaf,
  CommitView,
  Extension,
  LeafClaim,
  LeafView,
  ProposalView,
  SenderView,
} from './types.ts'
