import { readBounded } from './bounded.ts'
import { type HttpAnswer, type HttpSend, sendByHttp } from './http-client.ts'
import type { MatrixSettings } from './settings.ts'

/** On whose behalf a call is made; nobody: the appservice's own bot. */
export interface Masquerade {
  readonly user: string
  readonly device?: string
}

interface CallOptions {
  readonly as?: Masquerade
  readonly query?: Readonly<Record<string, string>>
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown
  readonly timeoutMs?: number
  /** Largest answer that is read where it is not the usual one, in bytes; a larger one is `SILTA_TOO_LARGE`. */
  readonly limitBytes?: number
  readonly signal?: AbortSignal
}

export type Json = Record<string, unknown>

/**
 * An answer other than 2xx, or none. `status` 0 is none: `SILTA_UNREACHABLE`, `SILTA_TIMEOUT`, `SILTA_ABORTED`; an
 * answer that is no JSON or too large is `SILTA_BAD_ANSWER`, or `SILTA_TOO_LARGE` (413) where the call has a limit of its own.
 */
export class HomeserverError extends Error {
  readonly status: number
  readonly errcode: string
  /** Whether the same call may succeed later: no answer, 429, 5xx. */
  readonly retry: boolean
  /** What the homeserver asks to wait, ms. */
  readonly retryAfterMs: number | undefined
  constructor(status: number, errcode: string, retryAfterMs?: number) {
    super(`homeserver: ${status} ${errcode}`)
    this.name = 'HomeserverError'
    this.status = status
    this.errcode = errcode
    this.retry = status === 0 || status === 429 || status >= 500
    this.retryAfterMs = retryAfterMs
  }
}

export const isHomeserverError = (error: unknown, ...errcodes: string[]): error is HomeserverError =>
  error instanceof HomeserverError && (errcodes.length === 0 || errcodes.includes(error.errcode))

/** What no homeserver says: of a proxy in front of one, which may be there alone. */
const badAnswer = 'SILTA_BAD_ANSWER'

/** Whether the homeserver itself has refused, and would refuse again. */
export const hasRefused = (error: unknown): error is HomeserverError =>
  isHomeserverError(error) && !error.retry && error.errcode !== badAnswer

/** Whether the homeserver, which is there, could not do it in time or not at all, for instance since another one is gone. */
export const hasStalled = (error: unknown): error is HomeserverError =>
  isHomeserverError(error) &&
  (error.errcode === 'SILTA_TIMEOUT' || (error.status >= 500 && error.errcode !== badAnswer))

export interface HomeserverOptions {
  /** Base URL of the Client-Server API, without /_matrix. */
  readonly url: string
  readonly asToken: string
  /** The server name in Matrix ids. */
  readonly domain: string
  /** How requests are sent: node:http unless a test puts something else in its place. */
  readonly fetch?: (url: string, request: Parameters<HttpSend>[1]) => Promise<HttpAnswer | Response>
  readonly settings: MatrixSettings
  /** Told of every request: its method, how it ended (HTTP status, 0 for no answer), how long it took. */
  readonly observe?: (method: string, status: number, seconds: number) => void
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
  /** @param signal ends the wait early: the homeserver may still do it */
  join(as: Masquerade, roomOrAlias: string, signal?: AbortSignal): Promise<string>
  leave(as: Masquerade, room: string, reason?: string): Promise<void>
  kick(as: Masquerade, room: string, user: string, reason?: string): Promise<void>
  /**
   * Sends a message event. Give the ghost's device in `as`: without it Synapse forgets transactions when it restarts.
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
  /** @throws HomeserverError `SILTA_TOO_LARGE` when it is more than `roomStateBytes` */
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

const v3 = '/_matrix/client/v3'
const path = (strings: TemplateStringsArray, ...parts: string[]) =>
  v3 + String.raw({ raw: strings }, ...parts.map(encodeURIComponent))

export function openHomeserver(options: HomeserverOptions): Homeserver {
  const call = observed(caller(options), options.observe)
  const { joinTimeoutMs: timeoutMs } = options.settings
  const eventOf = async (answer: Promise<Json>) => String((await answer).event_id)
  return {
    domain: options.domain,
    call,
    async registerUser(localpart) {
      const body = { type: 'm.login.application_service', username: localpart, inhibit_login: true }
      await unless(['M_USER_IN_USE'], call('POST', `${v3}/register`, { body }))
    },
    async putDevice(as, device, displayName) {
      const body = displayName === undefined ? {} : { display_name: displayName }
      await call('PUT', path`/devices/${device}`, { as: { user: as.user }, body })
    },
    async createRoom(as, body) {
      return String((await call('POST', `${v3}/createRoom`, { as, body })).room_id)
    },
    async invite(as, room, user) {
      await call('POST', path`/rooms/${room}/invite`, { as, body: { user_id: user } })
    },
    async join(as, room, signal) {
      const options = { as, body: {}, timeoutMs, ...(signal ? { signal } : {}) }
      return String((await call('POST', path`/join/${room}`, options)).room_id)
    },
    async leave(as, room, reason) {
      const body = reason === undefined ? {} : { reason }
      await call('POST', path`/rooms/${room}/leave`, { as, body, timeoutMs })
    },
    async kick(as, room, user, reason) {
      const body = { user_id: user, ...(reason === undefined ? {} : { reason }) }
      await call('POST', path`/rooms/${room}/kick`, { as, body })
    },
    putEvent(as, room, type, transaction, content, ts) {
      const query = ts === undefined ? {} : { ts: String(ts) }
      return eventOf(call('PUT', path`/rooms/${room}/send/${type}/${transaction}`, { as, query, body: content }))
    },
    putState(as, room, type, stateKey, content) {
      return eventOf(call('PUT', path`/rooms/${room}/state/${type}/${stateKey}`, { as, body: content }))
    },
    redact(as, room, eventId, transaction, reason) {
      const body = reason === undefined ? {} : { reason }
      return eventOf(call('PUT', path`/rooms/${room}/redact/${eventId}/${transaction}`, { as, body }))
    },
    getState(as, room, type, stateKey = '') {
      return unless(['M_NOT_FOUND'], call('GET', path`/rooms/${room}/state/${type}/${stateKey}`, { as }))
    },
    getRoomState(as, room) {
      return call<Json[]>('GET', path`/rooms/${room}/state`, { as, limitBytes: options.settings.roomStateBytes })
    },
    getEvent(as, room, eventId) {
      return unless(['M_NOT_FOUND'], call('GET', path`/rooms/${room}/event/${eventId}`, { as }))
    },
    async joinedMembers(as, room) {
      const answer = await call<{ joined: Record<string, object> }>('GET', path`/rooms/${room}/joined_members`, { as })
      return answer.joined
    },
    messages(as, room, from, limit = 100) {
      const query = { dir: 'b', limit: String(limit), ...(from === undefined ? {} : { from }) }
      return call('GET', path`/rooms/${room}/messages`, { as, query })
    },
    profile(user, as) {
      return unless(['M_NOT_FOUND', 'M_FORBIDDEN'], call('GET', path`/profile/${user}`, as ? { as } : {}))
    },
    async setTyping(as, room, typing, timeoutMs = 30_000) {
      const body = typing ? { typing, timeout: timeoutMs } : { typing }
      await call('PUT', path`/rooms/${room}/typing/${as.user}`, { as, body })
    },
    async sendReceipt(as, room, eventId) {
      await call('POST', path`/rooms/${room}/receipt/m.read/${eventId}`, { as, body: {} })
    },
    async ping(appserviceId, transaction) {
      const body = transaction === undefined ? {} : { transaction_id: transaction }
      await call('POST', `/_matrix/client/v1/appservice/${encodeURIComponent(appserviceId)}/ping`, { body })
    },
    whoami(as) {
      return call('GET', `${v3}/account/whoami`, as ? { as } : {})
    },
  }
}

/** The result, or undefined when the homeserver says that there is none. */
async function unless<T>(errcodes: string[], answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isHomeserverError(error, ...errcodes)) return undefined
    throw error
  }
}

function observed(call: Homeserver['call'], observe: HomeserverOptions['observe']): Homeserver['call'] {
  if (observe === undefined) return call
  return async (method, path, options) => {
    const begun = performance.now()
    const ended = (status: number) => observe(method, status, (performance.now() - begun) / 1000)
    try {
      const answer = await call(method, path, options)
      ended(200)
      return answer as never
    } catch (error) {
      // What we have broken off ourselves says nothing of the homeserver.
      if (!isHomeserverError(error, 'SILTA_ABORTED')) ended(error instanceof HomeserverError ? error.status : 0)
      throw error
    }
  }
}

function caller({ url, asToken, fetch: send = sendByHttp, settings }: HomeserverOptions): Homeserver['call'] {
  const base = url.replace(/\/+$/, '')
  return async <T>(method: string, path: string, options: CallOptions = {}): Promise<T> => {
    const query = new URLSearchParams(options.query)
    if (options.as) query.set('user_id', options.as.user)
    if (options.as?.device) query.set('device_id', options.as.device)
    const search = query.size > 0 ? `?${query}` : ''
    const timeout = AbortSignal.timeout(options.timeoutMs ?? settings.requestTimeoutMs)
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
    const body = options.body
    try {
      const response = await send(base + path + search, {
        method,
        headers: {
          authorization: `Bearer ${asToken}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        signal,
      })
      const text = await readBounded(response, options.limitBytes ?? settings.responseLimitBytes)
      if (text === undefined && options.limitBytes !== undefined) throw new HomeserverError(413, 'SILTA_TOO_LARGE')
      const json = parse(text)
      if (response.ok && json !== undefined) return json as T
      throw refusal(response, json)
    } catch (error) {
      if (error instanceof HomeserverError) throw error
      // The cause is left out: it names the address, and the query has Matrix ids in it.
      if (options.signal?.aborted) throw new HomeserverError(0, 'SILTA_ABORTED')
      throw new HomeserverError(0, timeout.aborted ? 'SILTA_TIMEOUT' : 'SILTA_UNREACHABLE')
    }
  }
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refusal(response: Pick<HttpAnswer, 'ok' | 'status' | 'headers'>, json: unknown): HomeserverError {
  const { errcode, retry_after_ms: inBody } = (typeof json === 'object' && json !== null ? json : {}) as Json
  const inHeader = Number(response.headers.get('retry-after') ?? Number.NaN) * 1000
  const wait = Number.isFinite(inHeader) ? inHeader : typeof inBody === 'number' ? inBody : undefined
  const code = typeof errcode === 'string' && /^[A-Z][A-Z0-9_.]{1,60}$/i.test(errcode) ? errcode : badAnswer
  return new HomeserverError(response.ok ? 502 : response.status, code, wait)
}
