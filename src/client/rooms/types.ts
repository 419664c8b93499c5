/** Rooms, their members, and what is sent into them. */
import type { ContentDraft, Profile } from '../../content/index.ts'
import type { AccountAddress, AccountKind, DeviceId, DeviceKind, Role, RoomId } from '../../identity/index.ts'
import type { StorageTx } from '../storage/types.ts'

export type RoomKind = 'direct' | 'group' | 'guest' | 'self'
export type RoomStanding = 'requested' | 'accepted' | 'declined' | 'left'

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
