/** What a device tells its application. */
import type { MimiContent, Profile } from '../content/index.ts'
import type { AccountAddress, DeviceId, Posture, Role, RoomId } from '../identity/index.ts'
import type { ClientError } from './errors.ts'
import type { ChatEnding, GuestEnd, WaitingGuest } from './guests/types.ts'
import type { Room, RoomKind } from './rooms/types.ts'
import type { StorageTx } from './storage/types.ts'

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
