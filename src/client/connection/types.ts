import type { Hello } from '../../protocol/index.ts'
import type { ClientError } from '../errors.ts'
import type { Answer, Request } from './wire.ts'

export interface ConnectionSettings {
  /** How long a request waits for its answer, the time without a link included. */
  requestTimeout: number
  /** How long opening a link may take, its Hello included. */
  connectTimeout: number
  /** First and largest pause before connecting again; the pause doubles, with full jitter, so that a crowd spreads. */
  reconnectFirst: number
  reconnectMost: number
  /** A link that held this long was a good one: the pauses begin anew. */
  stableAfter: number
  /** An idle link is pinged this often: below the minute after which middleboxes forget it. */
  pingInterval: number
  /** A link that does not answer a ping in this time is given up. */
  pingTimeout: number
  /** Devices authenticating at once after a reconnect. */
  authentications: number
  /** Bytes of one frame from the provider: more is not decoded. */
  frameBytes: number
}

export const connectionDefaults: ConnectionSettings = {
  requestTimeout: 30_000,
  connectTimeout: 15_000,
  reconnectFirst: 500,
  reconnectMost: 60_000,
  stableAfter: 10_000,
  pingInterval: 30_000,
  pingTimeout: 10_000,
  authentications: 16,
  frameBytes: 8 * 1024 * 1024,
}

export interface RequestOptions {
  /** Called when the frame has left. */
  sent?: () => void
}

/** A device on a connection: authenticated again after each reconnect. */
export interface Channel {
  /** Sends a request of this device, waiting until it is authenticated. Rejects with ClientError. */
  request(request: Request, options?: RequestOptions): Promise<Answer>
  readonly open: boolean
  close(): void
}

/** What the provider says to a device that it has recognised. */
export interface Authenticated {
  /** Of the account's newest manifest. */
  manifestNumber: number
  /** One-time KeyPackages that are left. */
  keyPackages: number
  /** Which life of the provider's state it is, since it was put back from a backup. */
  incarnation: number
}

export interface ChannelOptions {
  deviceId: string
  /** Signs the bytes that the protocol names for authentication. */
  sign(bytes: Uint8Array): Uint8Array
  /** Looks at the provider's greeting before anything is signed; throws to refuse that provider. */
  admit?(hello: Hello): void
  /** Each time the provider has recognised the device. */
  onOpen(authenticated: Authenticated): void
  onEvent(event: Answer): void
  /** The link broke; it comes back by itself. */
  onLost(): void
  /**
   * The provider refused the device (unlinked, for instance), or was refused. The channel stays shut. A device that the
   * provider does not know (any more) goes on asking.
   */
  onRefused(error: ClientError): void
}

/** The link to one provider, kept alive. One connection carries any number of devices. */
export interface Connection extends AsyncDisposable {
  /** The provider's greeting on the present link; waits for one. Errors: disconnected, closed. */
  hello(): Promise<Hello>
  /** A request on channel 0; `make` builds it from the greeting of the link that it travels on. */
  request(request: Request | ((hello: Hello) => Request)): Promise<Answer>
  channel(options: ChannelOptions): Channel
  /** Events on channel 0. Returns a function that takes the listener away. */
  onEvent(listener: (event: Answer) => void): () => void
  /** The provider's clock now, in milliseconds, by what it said last; undefined before it has said anything. */
  providerTime(): number | undefined
  /** The same, asked for. Errors: disconnected, timeout, closed. */
  askTime(): Promise<number>
  /** Each time a link is up (with its Hello), and each time it is lost. */
  onLink(listener: (up: boolean) => void): () => void
  close(): Promise<void>
}

/** One link that is up. `send` rejects with 'disconnected' when it breaks before the answer. */
export interface Link {
  readonly hello: Hello
  send(channel: number, request: Request, timeout: number, options?: RequestOptions): Promise<Answer>
}
