import type { AccountAddress } from '../../../identity/index.ts'
import type { Transaction } from '../../../store/index.ts'

/** Full Matrix id of a ghost, `@silta_x:homeserver`. */
export type GhostId = string & { readonly __brand: 'GhostId' }

/**
 * Why an event could not be decrypted, for good: `mismatched-sender` is one whose session belongs to somebody else than
 * its sender claims to be.
 */
export const decryptFailures = ['malformed', 'mismatched-sender', 'unknown-index', 'withheld', 'undecryptable'] as const
type DecryptFailure = (typeof decryptFailures)[number]

/** How sure it is that the sender's own device wrote this: `none` no remark, `grey` and `red` a warning with its code. */
export interface Shield {
  readonly color: 'none' | 'grey' | 'red'
  readonly code?: string
}

export interface Decrypted {
  readonly type: string
  readonly content: Record<string, unknown>
  readonly sender: string
  readonly senderDevice?: string
  readonly shield: Shield
}

export type DecryptResult =
  | Decrypted
  /** The room key has not come (yet). `onRoomKey` tells when it has. */
  | {
      readonly missingKey: true
      readonly sessionId: string
      /** When the homeserver was last asked for what it keeps for this ghost's device, ms since the epoch by the database. */
      readonly inboxReadAt: number
    }
  | { readonly failed: DecryptFailure }

export const isDecrypted = (result: DecryptResult): result is Decrypted => 'content' in result

/** The part of an appservice transaction (or of a /sync) that concerns encryption, by ghost. */
export interface Delivery {
  readonly toDevice: readonly ToDevice[]
  /** user → device → algorithm → count. An entry without `signed_curve25519` means none is left. */
  readonly otkCounts: Readonly<Record<string, Record<string, Record<string, number>>>>
  /** user → device → algorithms whose fallback key is still unused. */
  readonly fallbackTypes: Readonly<Record<string, Record<string, readonly string[]>>>
  readonly deviceLists: { readonly changed: readonly string[]; readonly left: readonly string[] }
}

/** An event before it is encrypted. */
export interface PlainEvent {
  readonly type: string
  readonly content: object
}

export interface ToDevice {
  readonly type: string
  readonly sender: string
  readonly content: Record<string, unknown>
  readonly to_user_id: string
  readonly to_device_id: string
}

/** Is given what was encrypted, in one part or several; `from`: which of the events the first of a part is. */
export type Keep = (tx: Transaction, made: readonly Record<string, unknown>[], from: number) => void

/** Messenger accounts as seen on Matrix: each with an Olm machine and a cross-signed device of its own. */
export interface Ghosts {
  /**
   * The account's ghost: made, registered, with device, keys and cross-signing if it was not. Idempotent, also over a
   * crash in between.
   * @throws GhostError `homeserver` (retry)
   */
  ensure(account: AccountAddress): Promise<GhostId>
  /**
   * The bridge's bot, the appservice's own user: an Olm machine and a cross-signed device like a ghost's, so that it reads
   * and writes in encrypted rooms. It stands for no account: `accountOf` its id is undefined. Idempotent, as `ensure`.
   */
  ensureBot(): Promise<GhostId>
  ghostOf(account: AccountAddress): Promise<GhostId | undefined>
  accountOf(mxid: string): Promise<AccountAddress | undefined>
  /** Id of the ghost's Matrix device, for calls that need `device_id`. */
  deviceOf(ghost: GhostId): Promise<string>
  /**
   * Contents of `m.room.encrypted` events that the members' devices can read, in the order of what they are made of. The
   * room key's use is durable before this resolves, for all of them at once: the caller stores the results, then sends
   * them. Step `matrix.encrypted` is called for each before it resolves.
   * @param members Matrix ids of all who are in the room or invited; the ghost itself may be among them
   * @param keep writes them, in the transaction that makes the key's use durable where that can be; when it fails, none of
   *   them may be used
   * @throws GhostError `unreadable` (retry) when nobody but ghosts' own devices could be given the key
   */
  encryptAll(
    ghost: GhostId,
    room: string,
    events: readonly PlainEvent[],
    members: readonly string[],
    keep?: Keep,
  ): Promise<Record<string, unknown>[]>
  /** The same for one event. */
  encrypt(
    ghost: GhostId,
    room: string,
    type: string,
    content: object,
    members: readonly string[],
  ): Promise<Record<string, unknown>>
  /**
   * Decrypts one `m.room.encrypted` event (ClientEvent format) with the ghost's keys. The sender's keys are queried
   * before their first event, or a good sender would read as an unknown device. Step `matrix.decrypted` follows.
   * @throws GhostError when it cannot be told now (homeserver, store, lease): the same call may succeed later
   */
  decrypt(ghost: GhostId, room: string, event: Record<string, unknown>): Promise<DecryptResult>
  /** Makes a delivery durable in the caller's transaction. Gives the ghosts that have something to take: for `receive`. */
  storeDelivery(tx: Transaction, delivery: Delivery): Promise<GhostId[]>
  /**
   * Lets the machines take what was stored for them. Never throws: what failed is taken up with the ghost's next use.
   */
  receive(ghosts: readonly GhostId[]): Promise<void>
  /**
   * Fetches by /sync what the homeserver did not push, for each ghost. To be called after a start, when the transactions
   * that waited have come in; from then on device inboxes are emptied now and then.
   * @throws GhostError `homeserver` when some ghosts could not be synced: call again
   */
  recover(): Promise<void>
  /** Called when a room key has come, once durable. Returns how to stop listening. */
  onRoomKey(listener: (ghost: GhostId, room: string, sessionId: string) => void): () => void
  /** Finishes what is under way, closes all machines, gives the leases back. */
  close(): Promise<void>
}
