import type { Audit } from '../audit/index.ts'
import type { Bus } from '../bus/index.ts'
import type { Crypto, KeyPair } from '../crypto/index.ts'
import type { AccountAddress, AccountKind, DeviceId, DeviceKind, ProviderTrust } from '../identity/index.ts'
import type { MlsProvider } from '../mls/public.ts'
import type { Database } from '../store/index.ts'
import type { HubMetrics } from './instruments.ts'
import type { HubSettings } from './settings.ts'

/** What every operation of the hub works with. */
export interface HubContext {
  readonly database: Database
  readonly bus: Bus
  readonly crypto: Crypto
  readonly mls: MlsProvider
  /** The provider's domain. */
  readonly provider: string
  /** Endorses accounts, and is the external sender of every room. */
  readonly providerKeyPair: KeyPair
  readonly trust: ProviderTrust
  /** HMAC key that hides the subjects of tokens, 32 bytes. */
  readonly subjectKey: Uint8Array
  /** The networks that somebody can be reachable over; any when not given. */
  readonly networks?: readonly string[]
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  readonly settings: HubSettings
  readonly metrics: HubMetrics
  /** Takes down what was done, in the transaction that does it. */
  readonly audit: Audit
  /** Counts a fault of ours, and tells of it. `where` is one of few words. */
  readonly fault: (error: unknown, where: string) => void
  /** Runs what nobody waits for. When it fails, cleaning does it again later. */
  readonly later: (work: () => Promise<void>) => void
}

/** The device that a request comes from, as the gateway has authenticated it. */
export interface Asker {
  readonly device: DeviceId
  readonly account: AccountAddress
  readonly deviceKind: DeviceKind
  readonly accountKind: AccountKind
  /** Of an edge account. */
  readonly operator?: string
  readonly network?: string
}
