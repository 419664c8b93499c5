import type { Crypto } from '../crypto/index.ts'
import type { Hub, HubErrorCode, TokenClaims } from '../hub/index.ts'
import type { GatewayMetrics, GatewayTimers } from './instruments.ts'
import type { openRates } from './rate.ts'
import type { Resolvers } from './resolvers.ts'
import type { GatewaySettings } from './settings.ts'

type Rates = ReturnType<typeof openRates>

/**
 * Told of what the gateway does, for the compliance log. `provider` is the network that an edge stands for, or `own`;
 * undefined for those who have not authenticated.
 */
export interface Conduct {
  /** A request was refused: its kind (a case of the protocol's Request, or `frame`) and the code. */
  refused(request: string, code: HubErrorCode, provider: string | undefined): void
  /** A message was taken from a device. */
  accepted(provider: string): void
  /**
   * A device has acknowledged a message of somebody else. `latencyMs` is the time since it was taken, undefined when the
   * device was away meanwhile.
   */
  delivered(provider: string, latencyMs: number | undefined): void
}

/** What one asks too often for, whatever connections it is asked on. */
export interface GatewayRates {
  /** By device. */
  readonly requests: Rates
  /** By account. */
  readonly lookUps: Rates
  readonly commits: Rates
  readonly reports: Rates
  readonly changes: Rates
  readonly bytes: Rates
  /** By device. */
  readonly ephemeral: Rates
  /** Of guests, by device. */
  readonly guests: Rates
  /** By network. */
  readonly strangers: Rates
  /** By link. */
  readonly invites: Rates
}

export interface GatewayContext {
  readonly hub: Hub
  readonly crypto: Crypto
  /** Throws for a token that is not valid. */
  readonly verifyToken: (token: string) => Promise<TokenClaims>
  readonly settings: GatewaySettings
  readonly metrics: GatewayMetrics
  readonly conduct: Conduct
  readonly timers: GatewayTimers
  /** Counts a fault, and tells of it unless the hub has. `where` is one of few words. */
  readonly fault: (error: unknown, where: string) => void
  readonly resolvers: Resolvers
  readonly rates: GatewayRates
  /** Milliseconds since the epoch. */
  readonly clock: () => number
}
