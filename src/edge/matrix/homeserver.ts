import type { MatrixSettings } from './settings.ts'

/** On whose behalf a call is made; nobody: the appservice's own bot. */
export interface Masquerade {
  readonly user: string
  readonly device?: string
}

export interface CallOptions {
  readonly as?: Masquerade
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export type Json = Record<string, unknown>

/**
 * An answer other than 2xx, or none.
 * `status` 0: the homeserver was not reached (`errcode` SILTA_UNREACHABLE) or did not answer in time (SILTA_TIMEOUT).
 */
export class HomeserverError extends Error {
  readonly status: number
  readonly errcode: string
  /** Whether the same call may succeed later: no answer, 429, 5xx. */
  readonly retry: boolean
  /** What the homeserver asks to wait, ms. */
  readonly retryAfterMs: number | undefined
  constructor(status: number, errcode: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(`homeserver: ${status} ${errcode}`, options)
    this.name = 'HomeserverError'
    this.status = status
    this.errcode = errcode
    this.retry = status === 0 || status === 429 || status >= 500
    this.retryAfterMs = retryAfterMs
  }
}

export interface HomeserverOptions {
  /** Base URL of the Client-Server API, without /_matrix. */
  readonly url: string
  readonly asToken: string
  /** The server name in Matrix ids. */
  readonly domain: string
  readonly fetch?: typeof fetch
  readonly settings: MatrixSettings
}

/** The Client-Server API calls that a bridge makes. Each throws HomeserverError. */
export interface Homeserver {
  readonly domain: string
  /** @param path from `/_matrix` on, with its parts already escaped */
  call<T = Json>(method: string, path: string, options?: CallOptions): Promise<T>
  /** Registers an appservice user; one that exists already is success. */
  registerUser(localpart: string): Promise<void>
  /** Creates the device (MSC4190) or renames it. */
  putDevice(as: Masquerade, device: string, displayName?: string): Promise<void>
  createRoom(as: Masquerade, body: Json): Promise<string>
  invite(as: Masquerade, room: string, user: string): Promise<void>
  join(as: Masquerade, roomOrAlias: string): Promise<string>
  leave(as: Masquerade, room: string, reason?: string): Promise<void>
  kick(as: Masquerade, room: string, user: string, reason?: string): Promise<void>
  /**
   * Sends a message event.
   * @param transaction scoped by Synapse to (path, appservice), not to the user: must contain the ghost (`transactionId`)
   * @returns the event id; the same one for the same transaction
   */
  putEvent(
    as: Masquerade,
    room: string,
    type: string,
    transaction: string,
    content: object,
    ts?: number,
  ): Promise<string>
  putState(as: Masquerade, room: string, type: string, stateKey: string, content: object): Promise<string>
  redact(as: Masquerade, room: string, eventId: string, transaction: string, reason?: string): Promise<string>
  /** undefined when there is no such state. */
  getState(as: Masquerade, room: string, type: string, stateKey?: string): Promise<Json | undefined>
  getRoomState(as: Masquerade, room: string): Promise<Json[]>
  getEvent(as: Masquerade, room: string, eventId: string): Promise<Json | undefined>
  joinedMembers(as: Masquerade, room: string): Promise<Record<string, { display_name?: string; avatar_url?: string }>>
  /** A page of the timeline, newest first. */
  messages(as: Masquerade, room: string, from?: string, limit?: number): Promise<{ chunk: Json[]; end?: string }>
  /** undefined when the user does not exist or shows no profile. */
  profile(user: string, as?: Masquerade): Promise<{ displayname?: string; avatar_url?: string } | undefined>
  setTyping(as: Masquerade, room: string, typing: boolean, timeoutMs?: number): Promise<void>
  sendReceipt(as: Masquerade, room: string, eventId: string): Promise<void>
  /** Asks the homeserver to ping us, which also makes it deliver what waits. */
  ping(appserviceId: string, transaction?: string): Promise<void>
  whoami(as?: Masquerade): Promise<{ user_id: string; device_id?: string }>
}
