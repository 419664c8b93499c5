/**
 * What messages say: MIMI content (draft-ietf-mimi-content-08) and the small documents that travel in it.
 *
 * Pure. Bytes from outside are bounded before anything is built from them, and either decode to a value or throw a
 * ContentError. This room knows no group, no network and no storage; text and markup in it are strangers' words.
 */
export {
  type Capability,
  type CapabilityDocument,
  type CapabilityLevel,
  capabilitiesMessage,
  capabilityDocument,
  combineCapabilities,
  type Feature,
  features,
  guestCapabilities,
  messengerCapabilities,
  type RoomCapabilities,
  readCapabilities,
} from './capability.ts'
export { decodeContent, encodeContent } from './codec.ts'
export { type DerivedValues, decodeDerivedValues, encodeDerivedValues } from './derived-values.ts'
export { ContentError, type ContentErrorCode } from './errors.ts'
export { expiryOf, requirePlausibleExpiry } from './expiry.ts'
export { contentLimits } from './limits.ts'
export { bodyOfType, essenceOf, mediaTypes, singlePart } from './media-type.ts'
export { mentionMarkdown, mentionsIn } from './mentions.ts'
export { type MessageIdInput, messageId } from './message-id.ts'
export { type Outcome, type OutcomeKind, outcomeMessage, readOutcome } from './outcome.ts'
export { type Profile, profileMessage, readProfile } from './profile.ts'
export {
  decodeStatusReport,
  encodeStatusReport,
  type MessageStatus,
  readStatus,
  type StatusEntry,
  statusMessage,
} from './status.ts'
export { readText, type Text, type TextInput, textMessage } from './text.ts'
export {
  type ContentDraft,
  disposition,
  type Expiration,
  type ExternalPart,
  type MimiContent,
  type MultiPart,
  type NullPart,
  type Part,
  type PartSemantics,
  type SinglePart,
} from './types.ts'
