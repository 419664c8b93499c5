/** Links for guests, whoever comes by them, and how their chats end. */
import type { AccountAddress, RoomId } from '../../identity/index.ts'

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
