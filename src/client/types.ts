import type { CapabilityDocument, ContentDraft, MimiContent, Profile, RoomCapabilities } from '../content/index.ts'
import type { Crypto } from '../crypto/index.ts'
import type {
  AccountAddress,
  AccountKind,
  DeviceId,
  DeviceKind,
  Posture,
  ProviderTrust,
  Role,
  RoomId,
} from '../identity/index.ts'
import type { MlsProvider } from '../mls/index.ts'
import type { Connection } from './connection/types.ts'
import type { ClientError } from './errors.ts'
import type { ClientSettings } from './settings.ts'
import type { ClientStep } from './steps.ts'

// ---- storage

/** One device's state. Transactions are serialised, atomic, and durable when their promise resolves. */
export interface Storage {
  transaction<T>(fn: (tx: StorageTx) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface StorageTx {
  get(collection: string, key: string): Promise<Uint8Array | undefined>
  put(collection: string, key: string, value: Uint8Array): Promise<void>
  delete(collection: string, key: string): Promise<void>
  /** The entries whose key begins with the prefix, ordered by key (code units), at most `limit` of them. */
  list(collection: string, prefix?: string, limit?: number): Promise<{ key: string; value: Uint8Array }[]>
  /** SQL storage: the store's Transaction, so that the application's own rows commit with the device's. */
  readonly application?: unknown
}

// ---- device

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

export type RoomKind = 'direct' | 'group' | 'guest' | 'self'
export type RoomStanding = 'requested' | 'accepted' | 'declined' | 'left'
export type ReportReason = 'spam' | 'abuse' | 'impersonation' | 'other'
export type FirstContact = 'anyone' | 'consent' | 'nobody'

export interface Room {
  id: RoomId
  kind: RoomKind
  /** Of this account. */
  standing: RoomStanding
  /** Whether another account of the room is known to have accepted it (it said so, or wrote). */
  answered: boolean
  /**
   * What the other account of a direct room last said of it (the provider's RoomUpdated): accepted, declined, left.
   * Undefined: nothing yet. A change is a `room` event, so that an application can say "declined" or "left".
   */
  otherStanding?: RoomStanding
  /** This device has a leaf and can read and write. */
  joined: boolean
  /** Place in the room's log up to which this device has read. */
  cursor: number
  /** The other account of a direct room. */
  other?: AccountAddress
  /** Who made the room or brought this account into it, when another account did. */
  inviter?: AccountAddress
  /** Of a group. */
  name?: string
  /** What this account is in a group. */
  role?: Role
}

export interface DeviceInfo {
  deviceId: DeviceId
  kind: DeviceKind
  own: boolean
}

export interface Member {
  address: AccountAddress
  accountKind: AccountKind
  own: boolean
  devices: { deviceId: DeviceId; kind: DeviceKind }[]
  /** Of an edge account: who runs the edge, and towards which network. */
  operator?: string
  network?: string
  /** What the account said of itself, once it did. */
  profile?: Profile
  /** In a group. */
  role?: Role
}

export interface AccountSettings {
  firstContact: FirstContact
  /** Networks over which this account is reachable. */
  networks: string[]
  handle?: string
  blocked: AccountAddress[]
  /** Whether others are told what was read here. */
  readReceipts: boolean
}

/** Whom to write to: an address, a handle at this provider, or an identifier on a network behind an edge. */
export type Target = { address: AccountAddress } | { handle: string } | { network: string; value: string }

/** A group as it stands at one place of its log. */
export interface GroupView {
  /** The place up to which this device has followed the log: of two views the one with the greater number is newer. */
  seq: number
  name: string
  /** In the order of their first leaf in the tree. */
  members: { address: AccountAddress; role: Role; accountKind: AccountKind; operator?: string; network?: string }[]
}

/** MIMI content without what this device fills in: salt, sender and room. */
export type OutgoingContent = ContentDraft

export interface SendOptions {
  /** 16 to 32 bytes that stand for this message: sending under the same key again gives the same message. */
  key?: Uint8Array
  /** Runs in the transaction that stores the message, once its id is known; what it writes commits with it. */
  within?: (tx: StorageTx, messageId: Uint8Array) => Promise<void>
}

/** One of several messages that are sent together. */
export interface Outgoing {
  content: OutgoingContent
  /** As in `SendOptions`. */
  key?: Uint8Array
}

export interface Sent {
  messageId: Uint8Array
  /**
   * Settles when the provider has answered; rejects with a ClientError when the message was refused for good. It need
   * not be awaited: the message survives a restart, and the events `accepted` and `refused` say the same.
   */
  accepted: Promise<{ seq: number; timestampMs: number }>
}

/** An edge answers look-ups for its network. Declared again after each reconnect, until `stop` is called. */
export interface ServedNetwork {
  /**
   * Devices of this network that are closed: `waiting` tells when something waits for one. Ends for each when it was told,
   * and for all with the link. Errors: rate-limited; those of the connection.
   */
  watch(devices: readonly DeviceId[]): Promise<void>
  stop(): void
}
/**
 * Why a look-up found no account. server-unreachable: the server that the identifier names does not answer now;
 * rate-limited: the edge has looked up too many lately. unavailable: the edge has a passing fault.
 */
export type Unresolved = 'not-reachable' | 'server-unreachable' | 'rate-limited' | 'unavailable'

export interface NetworkServer {
  network: string
  /** A token that names the operator; asked for on each declaration, so that it can be a fresh one. */
  accessToken: () => string | Promise<string>
  /** The account for an identifier of that network, or why there is none; what it throws is told as unavailable. */
  resolve: (value: string) => Promise<{ account: AccountAddress } | { unresolved: Unresolved }>
  /** The provider knows, on a new link, who serves the network: devices that are closed can be watched, all anew. */
  served?: (network: Pick<ServedNetwork, 'watch'>) => void
  /** Something waits for these devices, which were watched: each is told of once. */
  waiting?: (devices: readonly DeviceId[]) => void
}

/** How a guest link is to be. */
export interface InviteChoices {
  /** Asked of the guest; told to them another way than the link. */
  pin?: string
  /** Somebody of this account lets each guest in. */
  approval?: boolean
  /** One guest, as it is unless said otherwise. */
  singleUse?: boolean
  /** Milliseconds: how long it lets somebody in, and how long nothing may be said before a chat ends; else as the provider has it. */
  expiresInMs?: number
  idleMs?: number
  /** For this account alone. */
  label?: string
  /** Who invites, shown to whoever has the link. */
  name?: string
  /** Where the page for guests is; https://provider unless said otherwise. */
  base?: string
}

export interface Invite {
  id: string
  /** Whoever has it can come in: to be given to the guest, and to nobody else. */
  link: string
  label?: string
  pin: boolean
  approval: boolean
  singleUse: boolean
  /** Milliseconds since the epoch. */
  expiresAt: number
  idleMs: number
  /** Whether it still lets somebody in. */
  open: boolean
  revoked: boolean
  /** Wrong PINs that it still takes. */
  pinTries: number
  waiting: WaitingGuest[]
  chats: { account: AccountAddress; room: RoomId }[]
}

/** Somebody with a link who waits to be let in. */
export interface WaitingGuest {
  account: AccountAddress
  /** As the guest says. */
  name?: string
  /** The name that was given could be taken for this account's own, or for the provider's; so it is not shown. */
  misleading?: true
}

/** What a link offers to whoever opens it. */
export interface OpenedInvite {
  pin: boolean
  pinTries: number
  approval: boolean
  singleUse: boolean
  expiresAt: number
  idleMs: number
  /** As far as the host agreed. */
  hostName?: string
}

export interface GuestOptions {
  link: string
  pin?: string
  /** As the host will see it. */
  name?: string
  /** Who invites, as `openInvite` told: a name that looks like it is refused before anything is sent. */
  hostName?: string | undefined
  /** Somebody was asked to let the guest in. */
  onWaiting?: () => void
  /** Ends the waiting. */
  signal?: AbortSignal
}

/** When a chat with a guest ends. */
export interface ChatEnding {
  room: RoomId
  /** By the provider's clock, milliseconds since the epoch. */
  endsAt: number
  /** How long it was until then when this was told: what to count down from, since a device's clock may be wrong. */
  leftMs: number
  /** How long nothing may be said: the end of a chat in which something is said now. */
  idleMs: number
}

/** Why a guest's chat is over. */
export type GuestEnd = 'idle' | 'revoked' | 'blocked' | 'left'

// ---- events

/** What every event that stands in a room's log has. */
export interface LogPosition {
  room: RoomId
  seq: number
  /** The log's time, milliseconds since the epoch. */
  timestampMs: number
}

export interface Received extends LogPosition {
  sender: AccountAddress
  senderDevice: DeviceId
  /** From another device of this account. */
  own: boolean
  messageId: Uint8Array
}
export interface ReceivedMessage extends Received {
  roomKind: RoomKind
  content: MimiContent
}

/** What another account, or another device of this one, reports of messages. */
export interface Receipt extends LogPosition {
  account: AccountAddress
  own: boolean
  /** `read` of a message stands for all before it too. */
  status: 'delivered' | 'read'
  messageIds: Uint8Array[]
}

export interface PostureChange {
  room: RoomId
  posture: Posture
  /** Undefined when this device has just entered the room. */
  previous?: Posture
}

/** What one commit changed of a group. */
export interface GroupChange extends LogPosition {
  /** Who did it; of those who left, who carried it out. */
  by: AccountAddress
  added: AccountAddress[]
  /** Taken out by `by`; this account itself, when it was. */
  removed: AccountAddress[]
  /** Gone by themselves. */
  left: AccountAddress[]
  /** The name from now on, when it changed. */
  name?: string
  /** What they are from now on, those for whom that changed. */
  roles: { account: AccountAddress; role: Role }[]
}

/** Something that was refused: by the provider what we sent, or by this device what somebody presented. */
export interface Refusal {
  room?: RoomId
  account?: AccountAddress
  /** The message of ours that will not be delivered. */
  messageId?: Uint8Array
  error: ClientError
}

/**
 * Handlers that are given a `tx` run inside the transaction that stores what the event is about: what they write commits
 * with it or not at all. They must not wait for another call of the same device (its room is held) nor for the network.
 * When one throws, the transaction is undone and the event comes again.
 */
export interface DeviceEvents {
  message: (message: ReceivedMessage, tx: StorageTx) => void | Promise<void>
  /** Messages have come to others, or were read by them or on another device of this account. Also comes as `message`. */
  receipt: (receipt: Receipt, tx: StorageTx) => void | Promise<void>
  /** Somebody types, or does not any more: ends by itself. Never comes again, and may not come at all. */
  typing: (event: { room: RoomId; account: AccountAddress; on: boolean }) => void | Promise<void>
  /** A message of ours has its place in the log. */
  accepted: (sent: LogPosition & { messageId: Uint8Array }, tx: StorageTx) => void | Promise<void>
  /**
   * Something of a room came that was taken in before: the storage could not say whether it had been stored, or the provider
   * was not told. What the application does after its writes were stored may not have happened.
   */
  repeated: (event: { room: RoomId }, tx: StorageTx) => void | Promise<void>
  /** A message that this device cannot open or read. The room goes on. */
  undecryptable: (event: LogPosition & { error: ClientError }, tx: StorageTx) => void | Promise<void>
  /** Messages are or may be missing before this place: the provider no longer had them, or this device joined anew. */
  gap: (event: LogPosition, tx: StorageTx) => void | Promise<void>
  /** A room is new here, or its kind, standing, membership or `answered` changed. */
  room: (room: Room, tx: StorageTx) => void | Promise<void>
  /** A stranger's room that waits for accept or decline. Also reported as `room`. */
  request: (room: Room, tx: StorageTx) => void | Promise<void>
  /** What an account says of itself is new here: it said so in a room, or another device of this account knew. */
  profile: (event: { account: AccountAddress; profile: Profile }, tx: StorageTx) => void | Promise<void>
  /** Members, name or roles of a group changed, by this device or by others. */
  group: (change: GroupChange, tx: StorageTx) => void | Promise<void>
  posture: (change: PostureChange, tx: StorageTx) => void | Promise<void>
  /** An account of this room stands under another account key than before: the safety number is new. */
  keyChanged: (event: { room: RoomId; account: AccountAddress }, tx: StorageTx) => void | Promise<void>
  refused: (refusal: Refusal, tx: StorageTx) => void | Promise<void>
  /** Somebody asks to be allowed to write, or answered our asking. */
  consent: (event: { account: AccountAddress; state: 'requested' | 'granted' | 'denied' }) => void | Promise<void>
  /** All that was waiting at the provider has been delivered to this device. */
  caughtUp: () => void | Promise<void>
  online: (online: boolean) => void | Promise<void>
  /** This device was unlinked; it will neither send nor receive any more. */
  unlinked: () => void | Promise<void>
  /** Somebody with a link waits to be let in: `answerGuest`. */
  guest: (guest: { invite: string } & WaitingGuest) => void | Promise<void>
  /**
   * When a chat with a guest ends unless something is said: told to the guest at each log-in, to both sides a day and an
   * hour before (`leftMs` is at most that), and when the end has moved away again: something was said, or `extendChat`.
   */
  ending: (ending: ChatEnding) => void | Promise<void>
  /** Of a guest: the chat is over, and nothing of it is left in the storage. */
  ended: (reason: GuestEnd) => void | Promise<void>
  /** A fault that stopped no one but should be known: the code only, never a value. */
  fault: (error: ClientError) => void | Promise<void>
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
   * A new group with these accounts (all their devices) in it; this one is its owner. A stranger has to consent first.
   * Errors: consent-required, not-reachable, no-key-packages, …; malformed, too-large (name).
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
   * not-allowed, not-found, not-joined, closed, and as `createGroup`.
   */
  addMembers(room: RoomId, members: readonly AccountAddress[]): Promise<void>
  /** Takes an account out, with all its devices. */
  removeMember(room: RoomId, account: AccountAddress): Promise<void>
  rename(room: RoomId, name: string): Promise<void>
  setRole(room: RoomId, account: AccountAddress, role: Role): Promise<void>
  accept(room: RoomId): Promise<void>
  decline(room: RoomId): Promise<void>
  leave(room: RoomId): Promise<void>

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
