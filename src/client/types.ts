/** The SDK's types: a device, what it is given, and, from the folders of its calls, what they take and give. */
import type { CapabilityDocument, Profile, RoomCapabilities } from '../content/index.ts'
import type { Crypto } from '../crypto/index.ts'
import type { AccountAddress, DeviceId, DeviceKind, Posture, ProviderTrust, Role, RoomId } from '../identity/index.ts'
import type { MlsProvider } from '../mls/index.ts'
import type { AccountSettings, DeviceInfo, FirstContact, ReportReason, Target } from './account/types.ts'
import type { Connection } from './connection/types.ts'
import type { DeviceEvents } from './event-types.ts'
import type { ChatEnding, Invite, InviteChoices } from './guests/types.ts'
import type { GroupView, Member, Outgoing, OutgoingContent, Room, SendOptions, Sent } from './rooms/types.ts'
import type { ClientSettings } from './settings.ts'
import type { ClientStep } from './steps.ts'
import type { Storage, StorageTx } from './storage/types.ts'

export type * from './account/types.ts'
export type * from './connection/network-types.ts'
export type * from './event-types.ts'
export type * from './guests/types.ts'
export type * from './rooms/types.ts'
export type * from './storage/types.ts'

/** What a device is given. Everything it touches comes from here. */
export interface DeviceOptions {
  connection: Connection
  storage: Storage
  crypto: Crypto
  mls: MlsProvider
  /** Whose endorsements are believed. Without it: the key of the provider's first Hello, kept from then on. */
  trust?: ProviderTrust
  /** Milliseconds since the epoch. Only for things of our own making; what others made is judged at the log's time. */
  clock?: () => number
  settings?: Partial<ClientSettings>
  /** Of an edge: what its network carries. Told to every room, where it is part of what `capabilities` says. */
  capabilities?: CapabilityDocument
  /** Decoded group states; give many devices of one process the same one, so that idle rooms cost nothing. */
  groupCache?: GroupCache
  steps?: (step: ClientStep) => void | Promise<void>
  /**
   * Which life of the storage it is, since it was put back from a backup; whoever keeps the storage knows. When it is another, no key that
   * was in the backup is used to encrypt: every room is entered anew. 0 when not given.
   */
  incarnation?: number
}

export interface GroupCache {
  /** Entries at most; the least recently used one goes first. */
  readonly size: number
  get(key: string): unknown
  set(key: string, state: unknown): void
  delete(key: string): void
}

/** One device of an account. Every call rejects with ClientError. */
export interface Device extends AsyncDisposable {
  readonly address: AccountAddress
  readonly deviceId: DeviceId
  readonly kind: DeviceKind
  readonly accountKey: Uint8Array

  /** Handlers are called in the order in which they were added. Returns a function that takes the handler away. */
  on<E extends keyof DeviceEvents>(event: E, handler: DeviceEvents[E]): () => void
  /** Begins delivery and sending. Add handlers before; until then nothing is received or acknowledged. */
  start(): Promise<void>
  /**
   * Resolves when the provider knows this device, has its KeyPackages, and everything that was waiting has been
   * delivered; waits for as long as there is no link. Errors: unlinked and what else the provider may refuse it for.
   */
  ready(): Promise<void>
  /** Whether nothing is under way and nothing waits to be sent, so that the device can be closed without being missed. */
  resting(): Promise<boolean>
  /**
   * Stops, and resolves when nothing is under way, so not to be waited for inside a handler. Storage and connection stay
   * open: they are the caller's.
   */
  close(): Promise<void>

  devices(): Promise<DeviceInfo[]>
  /** Primary: takes the device that shows this code into the account. */
  confirmLink(code: string): Promise<DeviceId>
  /** Primary: takes a device out of the account and out of all its rooms. */
  unlink(deviceId: DeviceId): Promise<void>

  rooms(): Promise<Room[]>
  room(room: RoomId): Promise<Room | undefined>
  /** The account behind a target. Errors: not-reachable, not-opted-in, not-found. */
  lookUp(target: Target): Promise<AccountAddress>
  /** The direct room with an account: the one that exists, or a new one. Errors: consent-required, not-reachable, … */
  createDirectRoom(address: AccountAddress): Promise<RoomId>
  /** `lookUp`, then `createDirectRoom`. */
  conversationWith(target: Target): Promise<RoomId>
  /**
   * A new group with these accounts (all their devices) in it, 63 at most; this one is its owner. A stranger has to consent
   * first. Errors: consent-required, not-reachable, no-key-packages, …; malformed (name), too-large (name, accounts).
   */
  createGroup(group: {
    name: string
    members: readonly AccountAddress[]
    /** Runs in the transaction that stores the group before it is asked for: it is made once, whatever comes between. */
    within?: (tx: StorageTx, room: RoomId) => Promise<void>
  }): Promise<RoomId>
  /** Name, members and roles at one place of the log. Errors: not-joined, no-such-room, not-allowed (no group). */
  group(room: RoomId): Promise<GroupView>
  /**
   * Changes of a group. Each resolves when it stands in the log, or is so already; where another change came first it is
   * made again on top of that, and waits for a link as long as it takes. After a restart nobody waits: a change whose
   * commit was made is sent all the same. Who may do what: `judgeCommit` in src/identity/room-policy.ts. Errors:
   * not-allowed, not-found, not-joined, closed, and as `createGroup`. `addMembers` takes 64 accounts at once.
   */
  addMembers(room: RoomId, members: readonly AccountAddress[]): Promise<void>
  /** Takes an account out, with all its devices. */
  removeMember(room: RoomId, account: AccountAddress): Promise<void>
  rename(room: RoomId, name: string): Promise<void>
  setRole(room: RoomId, account: AccountAddress, role: Role): Promise<void>
  accept(room: RoomId): Promise<void>
  decline(room: RoomId): Promise<void>
  leave(room: RoomId): Promise<void>

  /**
   * A message. It may have 64,954 bytes as MIMI content, 15,804 in a guest's chat; `capabilities` says how long a text may
   * be. Errors: too-large, text-only, no-such-room, not-allowed; nothing is stored then.
   */
  send(room: RoomId, content: OutgoingContent, options?: SendOptions): Promise<Sent>
  /**
   * Several messages, in their order, stored in one transaction: all of them or, when it throws, none.
   *
   * @param within runs in that transaction, with the ids of the messages that are new; undefined for those that were sent
   *   under their key before. Not when all of them were.
   */
  sendAll(
    room: RoomId,
    messages: readonly Outgoing[],
    within?: (tx: StorageTx, fresh: readonly (Uint8Array | undefined)[]) => Promise<void>,
  ): Promise<Sent[]>
  /**
   * The person has seen this message of another, and those before it. Told to the room, many in one, or when the account
   * does not send read receipts to its other devices alone. That messages have come is told by itself.
   */
  markRead(room: RoomId, messageId: Uint8Array): Promise<void>
  /**
   * The person types, or has stopped: to be called at each key. Told to those who look, at most every few seconds; in
   * rooms that are not accepted to nobody.
   */
  typing(room: RoomId, on?: boolean): Promise<void>
  /** What can be said in a room, and what becomes of it: for the app to offer that, and nothing that will not cross. */
  capabilities(room: RoomId): Promise<RoomCapabilities>

  posture(room: RoomId): Promise<Posture>
  members(room: RoomId): Promise<Member[]>
  /** Sixty digits to compare with the other account of a direct room (with an edge account: with its edge). */
  safetyNumber(room: RoomId): Promise<string>

  /** After comparing: the key that this account has now is taken as its own, and rooms refused for it are entered. */
  acceptNewKey(address: AccountAddress): Promise<void>

  settings(): Promise<AccountSettings>
  setFirstContact(policy: FirstContact): Promise<void>
  /** Undefined gives the handle up. */
  setHandle(handle: string | undefined): Promise<void>
  setReachable(network: string, reachable: boolean): Promise<void>
  /** For all devices of the account; true unless said otherwise. */
  setReadReceipts(on: boolean): Promise<void>
  /** Sent, end to end encrypted, into every room that is accepted, and into later ones when they are. */
  setProfile(profile: Profile): Promise<void>
  /** What this account says of itself, as far as this device knows. */
  profile(): Promise<Profile>
  block(address: AccountAddress, blocked?: boolean): Promise<void>
  /**
   * Reports an account of a conversation to the provider: that, by whom, where and for what; nothing that was said. It
   * blocks nobody. Errors: not-found, rate-limited.
   */
  report(room: RoomId, address: AccountAddress, reason: ReportReason): Promise<void>
  requestConsent(address: AccountAddress): Promise<void>
  answerConsent(address: AccountAddress, granted: boolean): Promise<void>

  /** A link by which somebody without an account comes into a chat with this one. Its secret stays on this account's devices. */
  createInvite(choices?: InviteChoices): Promise<Invite>
  /** Links of this account, newest first. */
  invites(): Promise<Invite[]>
  /** Closes a link at once and ends its chats, unless they are kept. */
  revokeInvite(invite: string, options?: { keepChats?: boolean }): Promise<void>
  /** Another link in the place of one, whose chats go on. A PIN has to be given anew. */
  reissueInvite(invite: string, choices?: InviteChoices): Promise<Invite>
  /** An open link lets somebody in for so long from now, milliseconds (else as the provider has it); never shorter than before. Errors: not-found. */
  extendInvite(invite: string, expiresInMs?: number): Promise<void>
  /** Keeps a chat with a guest open, as if something had been said; of either side. Errors: not-found. */
  extendChat(room: RoomId): Promise<ChatEnding>
  /** Lets a guest in who waits, or not. */
  answerGuest(guest: { invite: string; account: AccountAddress }, accept: boolean): Promise<void>
}
