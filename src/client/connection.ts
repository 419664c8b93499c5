import type { AccountAddress } from '../identity/index.ts'
import type { ClientFrame, Hello, ServerFrame } from '../protocol/index.ts'

export interface ConnectionSettings {
  /** How long a request waits for its answer, the time without a link included. */
  requestTimeout: number
  /** First and largest pause before connecting again; the pause doubles, with full jitter, so that a crowd spreads. */
  reconnectFirst: number
  reconnectMost: number
  /** An idle link is pinged this often: below the minute after which middleboxes forget it. */
  pingInterval: number
  /** A link that does not answer a ping in this time is given up. */
  pingTimeout: number
  /** Devices authenticating at once after a reconnect. */
  authentications: number
}

export type Request = NonNullable<Exclude<ClientFrame['request'], { case: undefined }>>
export type Answer = NonNullable<Exclude<ServerFrame['body'], { case: undefined }>>

/** A device on a connection: authenticated again after each reconnect. */
export interface Channel {
  /** Sends a request of this device; rejects with ClientError. `sent` is called when the frame has left. */
  request(request: Request, options?: { sent?: () => void | Promise<void> }): Promise<Answer>
  readonly open: boolean
  close(): void
}

export interface ChannelOptions {
  deviceId: string
  /** Signs the bytes that the protocol names for authentication. */
  sign(bytes: Uint8Array): Uint8Array
  /** Each time the provider has recognised the device. */
  onOpen(authenticated: { manifestNumber: number; keyPackages: number }): void
  onEvent(event: Answer): void
  onLost(): void
  /** The provider refused the device (unlinked, for instance). The channel stays shut. */
  onRefused(error: Error): void
}

/** The link to one provider, kept alive. One connection carries any number of devices. */
export interface Connection extends AsyncDisposable {
  /** The provider's greeting on the present link; waits for one. Errors: disconnected, closed. */
  hello(): Promise<Hello>
  /** A request on channel 0. */
  request(request: Request): Promise<Answer>
  channel(options: ChannelOptions): Channel
  /** Events on channel 0. Returns a function that takes the listener away. */
  onEvent(listener: (event: Answer) => void): () => void
  /** Each time a link is up (with its Hello), and each time it is lost. */
  onLink(listener: (up: boolean) => void): () => void
  close(): Promise<void>
}

/** An edge answers look-ups for its network. Declared again after each reconnect, until `stop` is called. */
export interface ServedNetwork {
  stop(): void
}
export interface NetworkServer {
  network: string
  /** A token that names the operator; asked for on each declaration, so that it can be a fresh one. */
  accessToken: () => string | Promise<string>
  /** The account for an identifier of that network; undefined: not reachable. */
  resolve: (value: string) => Promise<AccountAddress | undefined>
}
