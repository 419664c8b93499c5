import type { CapabilityDocument } from '../content/index.ts'
import type { Crypto } from '../crypto/index.ts'
import type { DeviceId, ProviderTrust, RoomId } from '../identity/index.ts'
import type { MlsProvider } from '../mls/index.ts'
import type { Connection } from './connection/types.ts'
import type { Answer, Request } from './connection/wire.ts'
import type { Events } from './events.ts'
import type { Changes } from './rooms/changes.ts'
import type { Sends } from './rooms/sends.ts'
import type { Receipts, Typing } from './rooms/signal-types.ts'
import type { ClientSettings } from './settings.ts'
import type { KeyedMutex } from './state/mutex.ts'
import type { SelfRecord } from './state/records.ts'
import type { ClientStep } from './steps.ts'
import type { GroupCache, Storage } from './types.ts'

/** What every part of a device works with. Made in one place, `device.ts`. */
export interface Context {
  readonly self: SelfRecord
  readonly deviceId: DeviceId
  readonly crypto: Crypto
  readonly mls: MlsProvider
  readonly storage: Storage
  readonly connection: Connection
  readonly settings: ClientSettings
  readonly trust: ProviderTrust
  readonly groupCache: GroupCache
  readonly events: Events
  /** One thing at a time in each room. */
  readonly alone: KeyedMutex
  /** Ends when the device is closed. */
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  clock(): number
  /** A request on this device's channel. */
  request(request: Request, options?: { sent?: () => void }): Promise<Answer>
  /** Whether the provider knows this device on the present link. */
  online(): boolean
  step(step: ClientStep): void | Promise<void>
  /** Told of each room after something of it was told and stored. */
  readonly watchers: Set<(room: RoomId) => void>
  /** Of an edge: what its network carries. */
  readonly capabilities?: CapabilityDocument
  readonly receipts: Receipts
  readonly typing: Typing
  /** Promises of `send` that wait for what the provider says. */
  readonly sends: Sends
  /** Changes of groups that wait for their turn. */
  readonly changes: Changes
  /** What parts of the device tell each other of. */
  readonly hooks: {
    invitesLearned?: () => Promise<void>
    /** The room has something to send. */
    send?: (room: RoomId) => void
  }
}

export const seconds = (milliseconds: number) => Math.floor(milliseconds / 1000)
