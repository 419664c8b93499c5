const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** Limits and times of the hub, each with its reason. Times are milliseconds, sizes bytes. */
export interface HubSettings {
  /** One MLSMessage of application data: text and references; files are blobs, never messages. */
  messageBytes: number
  /** Messages in one submission: enough that a commit to disk is shared, few enough that nobody waits for it. */
  messagesAtOnce: number
  /** One ephemeral frame: a word of what somebody is doing. */
  ephemeralBytes: number
  /** Devices that an ephemeral frame is for at most: in a larger room nobody looks who is typing. */
  ephemeralReaders: number
  /** One commit, Welcome or GroupInfo: a room of a thousand leaves has a tree of several hundred kilobytes. */
  commitBytes: number
  /** GroupInfo of a room's epoch 0: one leaf. Each leaf costs several signatures, so a made-up tree must not get in. */
  firstGroupInfoBytes: number
  /** Leaves in a room. */
  roomLeaves: number
  /** Devices of an account: one primary and four companions. */
  devices: number
  /** How long the key of an unlinked device is known, so that it comes back under no account: longer than its certificate. */
  unlinkedMs: number
  /** Size of a manifest or certificate: a handful of keys. */
  documentBytes: number
  /** Manifests kept of each account: enough to show how one came to another. */
  manifests: number
  /** How long an endorsement of the provider holds. A leaf is judged at the time it enters a room, so KeyPackages (30 days and more) must fit. */
  endorsementMs: number
  /** Clocks of devices differ: an endorsement begins this long before it is issued. */
  clockToleranceMs: number
  /** One-time KeyPackages kept for a device; more is storage spent on nobody. */
  keyPackages: number
  /** Below this many the device is told to refill. */
  keyPackagesLow: number
  /** A KeyPackage that ends sooner is not handed out: the commit must still find it valid. */
  keyPackageMarginMs: number
  /** Messages a stranger may send before being accepted: enough to say who one is. */
  requestMessages: number
  /** Strangers that an account may approach in an hour (spam and enumeration). */
  strangersPerHour: number
  /** Accounts that one account may block. */
  blocks: number
  /** How long an unanswered or a just answered request for consent is told of: text waits as long at the sender. */
  consentMs: number
  /** How long a log entry waits for devices that do not come: a companion's idle limit. */
  retentionMs: number
  /** How long an idempotency key is remembered: as long as its entry. */
  idempotencyMs: number
  /** How long a new device's rendezvous lasts: the code is shown on a screen and scanned at once. */
  linkMs: number
  /** How long a rendezvous is kept for a device that was cut off while it waited: as long as it takes to connect again. */
  linkLeftMs: number
  /** What a primary hands to a new device: keys and addresses, sealed. */
  linkBytes: number
  /** Rendezvous open at once, in all: they need no account, so their number must be bounded. */
  links: number
  /** Log entries read for a device in one go, and their bytes: bounds what a reader costs in memory. */
  readEntries: number
  readBytes: number
  /** Pause between cleanings, and rows that one statement deletes: long enough apart and small enough to disturb nobody. */
  cleanEveryMs: number
  cleanRows: number
  /** Whether links for guests are made here. */
  guests: boolean
  /** How long a link lets somebody in when its maker does not say, and at most. */
  inviteMs: number
  inviteMostMs: number
  /** How long nothing may be said in a guest's chat before it ends, likewise. */
  guestIdleMs: number
  guestIdleMostMs: number
  /** Open links of an account. */
  invites: number
  /** Wrong PINs that a link takes before it is closed: four digits are not to be tried out. */
  pinTries: number
  /** Guests that come by one link which is not for single use. */
  guestsPerInvite: number
  /** Who asks to come in by one link at a time, and how long such an asking is kept. */
  guestEntries: number
  guestEntryMs: number
  /** How often one who asks is handed KeyPackages of the host: answers get lost, a supply must not be used up. */
  guestClaims: number
  /** Messages of a guest before the host has accepted the chat: it was asked for, so more than a stranger's. */
  guestMessages: number
  /** One MLSMessage in a guest's chat: text alone. */
  guestMessageBytes: number
  /** What is sealed under a link's secret: a name and a few words. */
  guestDocumentBytes: number
  /** How long before a chat ends both sides are told, unless it never was that long: time to see it, and a last call. */
  guestWarningsMs: readonly number[]
  /** Chats about to end that a host's device is told of when it comes. */
  guestWarnings: number
  /** How long the browser of a chat that ended is told why. */
  guestEndedMs: number
  /** How often evaluating a commit is begun anew because the room changed meanwhile. */
  commitAttempts: number
}

export const defaultHubSettings: HubSettings = {
  messageBytes: 64 * 1024,
  messagesAtOnce: 64,
  ephemeralBytes: 1024,
  ephemeralReaders: 128,
  commitBytes: 2 * 1024 * 1024,
  firstGroupInfoBytes: 16 * 1024,
  roomLeaves: 2000,
  devices: 5,
  unlinkedMs: 400 * day,
  documentBytes: 16 * 1024,
  manifests: 8,
  endorsementMs: 90 * day,
  clockToleranceMs: 5 * minute,
  keyPackages: 200,
  keyPackagesLow: 10,
  keyPackageMarginMs: 5 * minute,
  requestMessages: 5,
  strangersPerHour: 30,
  blocks: 1000,
  consentMs: 14 * day,
  retentionMs: 30 * day,
  idempotencyMs: 30 * day,
  linkMs: 10 * minute,
  linkLeftMs: 30 * second,
  linkBytes: 64 * 1024,
  links: 10_000,
  readEntries: 32,
  readBytes: 1024 * 1024,
  cleanEveryMs: 30 * second,
  cleanRows: 1000,
  guests: true,
  inviteMs: 10 * day,
  inviteMostMs: 90 * day,
  guestIdleMs: 10 * day,
  guestIdleMostMs: 90 * day,
  invites: 100,
  pinTries: 5,
  guestsPerInvite: 50,
  guestEntries: 20,
  guestEntryMs: 1 * day,
  guestClaims: 3,
  guestMessages: 20,
  guestMessageBytes: 16 * 1024,
  guestDocumentBytes: 1024,
  guestWarningsMs: [1 * day, 1 * hour],
  guestWarnings: 100,
  guestEndedMs: 30 * day,
  commitAttempts: 3,
}
