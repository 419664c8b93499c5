import type { Hono } from 'hono'
import type { Transaction } from '../../store/index.ts'

/** An event of a room as the homeserver pushed it, stored until its handler has finished it. */
export interface StoredEvent {
  /** Order of arrival; names the row. */
  readonly id: number
  readonly room: string
  readonly eventId: string
  readonly type: string
  readonly sender: string
  readonly stateKey?: string
  readonly content: Record<string, unknown>
  /** The whole event (ClientEvent format), for decryption. */
  readonly event: Record<string, unknown>
  /** When it was stored, ms since the epoch: a missing room key is waited for from here on. */
  readonly receivedAt: number
}

export interface AppserviceHandlers {
  /**
   * The oldest waiting events of one room, in order, at most `eventBatch`. The handler ends each by `finishEvent` in the
   * transaction that holds its effects, in order. What is left when it returns is handed over again: at once when it
   * finished some, else after `retryAfterMs` (or `wake`); when it throws, after a growing wait.
   */
  onEvents(room: string, events: readonly StoredEvent[]): Promise<{ retryAfterMs?: number } | undefined>
  /** Typing, receipts, presence of one transaction; not stored, may be dropped. */
  onEphemeral?(events: readonly Record<string, unknown>[]): void
  /** Whether this Matrix id is, or may become, one of ours (GET /users). May create it. */
  queryUser?(mxid: string): Promise<boolean>
  /** Whether this alias is one of ours (GET /rooms). */
  queryAlias?(alias: string): Promise<boolean>
  /** GET /thirdparty/protocol/{p}; undefined: no such protocol. */
  protocol?(name: string): Promise<Record<string, unknown> | undefined>
  /** GET /thirdparty/user/{p} and /thirdparty/user?userid=. */
  findUsers?(
    query: { protocol: string; fields: Record<string, string> } | { userId: string },
  ): Promise<Record<string, unknown>[]>
  /** GET /thirdparty/location/{p} and /thirdparty/location?alias=. */
  findLocations?(
    query: { protocol: string; fields: Record<string, string> } | { alias: string },
  ): Promise<Record<string, unknown>[]>
}

export interface Appservice {
  /** /_matrix/app/v1/*, for the process' HTTP server. */
  readonly routes: Hono
  /** Hands over what was stored before; events of transactions that come in are handed over from now on. */
  start(): Promise<void>
  /** Deletes a stored event, in the transaction that holds its effects. */
  finishEvent(tx: Transaction, id: number): Promise<void>
  /** Hands a room's waiting events over now: a room key came, or what was missing is there. */
  wake(room: string): void
  /** Resolves when no room has anything to hand over, or all that is left waits for a retry. */
  idle(): Promise<void>
  /** Stops handing over and waits for handlers under way; transactions are refused with 503. */
  drain(): Promise<void>
}
