/**
 * The hub: delivery service for rooms of ciphertext. It orders what devices submit, follows each group from its public
 * handshakes, keeps mailboxes, and decides who may reach whom.
 *
 * It knows addresses, devices, manifests and sizes. It can hold no group secret: of MLS it imports `mls/public.ts` alone.
 * It must never write a message, a handle or a subject into a log or an error, and never believe a gateway about
 * anything but which device is asking.
 */
export type { EndorsedAccount, TokenClaims } from './accounts/create.ts'
export type { KnownDevice } from './accounts/devices.ts'
export type { ConsentNews } from './consent.ts'
export type { FirstContact, Standing } from './contact.ts'
export type { Asker } from './context.ts'
export { HubError, type HubErrorCode, type HubErrorDetails } from './errors.ts'
export type { GuestCreation } from './guests/create.ts'
export type { ChatEnding } from './guests/ending.ts'
export type { InviteEntry } from './guests/enter.ts'
export type { InviteOptions, InvitePut, InviteSummary, WaitingGuest } from './guests/invites.ts'
export type { GuestEnd } from './guests/reasons.ts'
export { hubCounters } from './instruments.ts'
export type { ClaimedKeyPackages } from './key-packages.ts'
export type { Found } from './look-ups.ts'
export type { Entry, WelcomeEntry } from './mailbox.ts'
export { type Hub, type HubOptions, openHub } from './open.ts'
export type { PreferenceChange, Preferences } from './preferences.ts'
export type { ReportReason } from './reports.ts'
export type { RoomCreation } from './rooms/create.ts'
export type { Accepted, RoomKind } from './rooms/rows.ts'
export type { JoinDocuments, RoomSummary, StandingNews } from './rooms/standing.ts'
export type { CommitSubmission, MessageSubmission, MessagesSubmission } from './rooms/submissions.ts'
export { defaultHubSettings, type HubSettings } from './settings.ts'
export { guestSteps, type HubStep, hubSteps } from './steps.ts'
export type { News } from './wake-ups.ts'
