/**
 * Who is who: addresses, the signed documents that bind an account's key and devices to its address, the rules by which
 * they hold in a group and by which a group is changed, and what a person is shown of it (safety number, posture).
 *
 * Pure: functions from values to values over the primitives they are given. Time comes in as an argument and is the
 * log's. This room knows no group state, no network and no storage, and believes no document that it has not verified.
 */
export {
  type AccountAddress,
  type DeviceId,
  deviceIdOf,
  newAccountAddress,
  newRoomId,
  parseAccountAddress,
  parseDeviceId,
  parseProvider,
  parseRoomId,
  providerOf,
  type RoomId,
} from './address.ts'
export { type DeviceCertificate, issueCertificate, readCertificate } from './certificate.ts'
export { confusables } from './confusables.ts'
export { type Endorsement, issueEndorsement, readEndorsement } from './endorsement.ts'
export { IdentityError, type IdentityErrorCode } from './errors.ts'
export { type AccountKind, type DeviceKind, kindsAgree } from './kinds.ts'
export {
  type Credential,
  decodeCredential,
  encodeCredential,
  type Leaf,
  type ProviderTrust,
  readVerifiedLeaf,
  verifyLeaf,
  verifySettledLeaf,
} from './leaf.ts'
export {
  acceptManifest,
  deviceIn,
  issueManifest,
  type Manifest,
  type ManifestDevice,
  type ManifestState,
  manifestHash,
  maxManifestDevices,
  maxManifestValidity,
  openManifest,
  readManifest,
} from './manifest.ts'
export { describePosture, type Posture, posture, type Reader } from './posture.ts'
export {
  type GroupRoom,
  judgeCommit,
  type Role,
  type RoomCommit,
  type RoomRefusal,
  type RoomState,
  rolesIn,
  sameRoom,
  withoutAbsent,
} from './room-policy.ts'
export {
  applyManifests,
  emptyRoster,
  joinRoster,
  type Roster,
  type RosterCommit,
  type RosterEntry,
  type RosterLeaf,
  type RosterOutcome,
  rosterDocuments,
  statedManifests,
  unlistedLeaves,
} from './roster.ts'
export { decodeRoster, encodeRoster, mostRosterAccounts } from './roster-codec.ts'
export { safetyNumber } from './safety-number.ts'
export { type Lookalikes, looksLike, looksLikeProvider } from './skeleton.ts'
