/** Limits and times of a device, each with its reason. Times are milliseconds unless named otherwise. */
export interface ClientSettings {
  /** One-time KeyPackages kept at the provider: how many conversations can begin while this device is offline. */
  keyPackages: number
  /** Below this many the supply is refilled. */
  keyPackagesLow: number
  /** Seconds a KeyPackage is valid: longer than a companion may be idle (30 days). */
  keyPackageLifetime: number
  /** Seconds a device certificate is valid. */
  certificateLifetime: number
  /** Seconds before its end at which a certificate is renewed: longer than a KeyPackage lives, which holds one. */
  certificateRenewal: number
  /** Seconds a manifest is valid: the 14 days within which a lost device must stop being believed. */
  manifestLifetime: number
  /** Seconds before its end at which the primary renews the manifest: half, so that a week offline does no harm. */
  manifestRenewal: number
  /** Seconds by which the clocks of device and provider may differ: what we issue begins that long ago. */
  clockTolerance: number
  /** Seconds before the end of the provider's endorsement at which a fresh one is fetched. */
  endorsementRenewal: number
  /** Decoded group states kept in memory. */
  cachedGroups: number
  /** Log entries processed in one transaction at most: bounds what is done again after a crash. */
  receiveBatch: number
  /** Messages of a room that are submitted together, when so many wait; and their bytes. */
  submitBatch: number
  submitBytes: number
  /** How long acknowledgements are gathered, of all rooms: a busy device then costs one statement where it cost many. */
  acknowledgeAfter: number
  /** Unacknowledged entries the provider may have under way: more than come while acknowledgements are gathered. */
  deliveryWindow: number
  /** How long to wait for the room that another device made first before entering it from outside. */
  welcomeWait: number
  /** How long a new device whose code was read is waited for at the meeting place. */
  linkWait: number
  /** How long whoever asked for that room waits for this device to be in it. */
  enterWait: number
  /** How long a refused submission waits for the log that explains the refusal before it is tried again. */
  logWait: number
  /** First and largest pause between attempts after a passing fault. */
  retryFirst: number
  retryMost: number
  /** Attempts of one message or commit that the provider keeps refusing for a reason that should pass. */
  attempts: number
  /** How long the key of a message that was sent is remembered: longer than any caller takes to come again. */
  sentKeyMemory: number
  /** How often a device looks whether manifest or KeyPackages must be renewed. */
  upkeep: number
  /** The longest that a guest link lets somebody in: no provider's word makes it longer. */
  inviteLongest: number
  /** How often one who waits for being let in asks again, in case a word from the provider was lost. */
  approvalPoll: number
  /** Networks behind an edge that do not encrypt towards their users: they make a posture `plaintext`. */
  plaintextNetworks: readonly string[]
  /** Time between two reports in a room: one then stands for many messages. The first goes almost at once. */
  receiptDelay: number
  /** Accounts in a group up to which what was read is told to it: every member reports to every other. */
  receiptMembers: number
  /** How often others are told that somebody goes on typing, and how long that is shown: twice that and a little. */
  typingEvery: number
  typingShown: number
  /** Bytes of a message as the provider takes it; what is larger is refused before it is stored. A decoder is given no more. */
  messageBytes: number
  /** The same in a chat with a guest, who has no account that answers for what is stored. */
  guestMessageBytes: number
}

const day = 24 * 60 * 60

export const defaultSettings: ClientSettings = {
  keyPackages: 20,
  keyPackagesLow: 8,
  keyPackageLifetime: 60 * day,
  certificateLifetime: 400 * day,
  certificateRenewal: 90 * day,
  manifestLifetime: 14 * day,
  manifestRenewal: 7 * day,
  clockTolerance: 60 * 60,
  endorsementRenewal: 30 * day,
  cachedGroups: 64,
  receiveBatch: 32,
  submitBatch: 16,
  submitBytes: 128 * 1024,
  acknowledgeAfter: 20,
  deliveryWindow: 256,
  welcomeWait: 5_000,
  linkWait: 5_000,
  enterWait: 30_000,
  logWait: 10_000,
  retryFirst: 500,
  retryMost: 60_000,
  attempts: 20,
  sentKeyMemory: 30 * day * 1000,
  upkeep: 60 * 60 * 1000,
  inviteLongest: 365 * day * 1000,
  approvalPoll: 60_000,
  plaintextNetworks: [],
  receiptDelay: 1_000,
  receiptMembers: 32,
  typingEvery: 4_000,
  typingShown: 10_000,
  messageBytes: 64 * 1024,
  guestMessageBytes: 16 * 1024,
}
