import type { Crypto } from '../../../crypto/index.ts'
import type { Database, Queryable, Sealer } from '../../../store/index.ts'
import type { Ghosts } from '../ghosts.ts'
import type { Json } from '../homeserver.ts'
import type { Log } from '../log.ts'
import type { MatrixSettings } from '../settings.ts'
import type { Steps } from '../steps.ts'

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
  /** When it was stored, ms since the epoch by the database's clock: a missing room key is waited for from here on. */
  readonly receivedAt: number
}

/** A room as the homeserver has it, for whoever wants to know what it did not push. */
export interface Timeline {
  /** A page of it, newest first. @throws HomeserverError */
  read(from: string | undefined, limit: number): Promise<{ chunk: Json[]; end?: string }>
  /** Those of these events that were carried over already. */
  carried(on: Queryable, eventIds: readonly string[]): Promise<ReadonlySet<string>>
}

export interface AppserviceHandlers {
  /**
   * Whether an event has to be stored at all. Asked before anything else, so it must be quick and must not throw; the
   * echo of what our ghosts sent need not be kept, for instance. Without it all are stored.
   */
  wants?(event: Pick<StoredEvent, 'room' | 'type' | 'sender' | 'stateKey' | 'content'>): boolean
  /**
   * The oldest waiting events of one room, in order, at most `eventBatch`; for one room never two calls at once. The
   * handler ends each by `finishEvent` in the transaction that holds its effects, in order. What is left when it returns
   * is handed over again: at once when it finished some, else after `retryAfterMs` (or `wake`); when it throws, after a
   * growing wait.
   *
   * @param mayEnter to be asked before one of ours goes into a room, for which another homeserver may have to answer. False:
   *   as many do so as may; the handler returns, and is called again when there may be a place
   */
  onEvents(
    room: string,
    events: readonly StoredEvent[],
    mayEnter: () => boolean,
  ): Promise<{ retryAfterMs?: number } | undefined>
  /**
   * The timeline of a room that is ours to carry; undefined where there is none to compare with. In such rooms (the bot's,
   * and those that one of ours was only invited to) what the homeserver does not hand over is not found.
   */
  timeline?(room: string): Promise<Timeline | undefined>
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

export interface AppserviceOptions {
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly hsToken: string
  readonly ghosts: Pick<Ghosts, 'storeDelivery' | 'receive' | 'recover'>
  readonly handlers: AppserviceHandlers
  readonly settings: MatrixSettings
  readonly log: Log
  readonly steps?: Steps | undefined
}
