import type { Crypto } from '../../crypto/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import type { Database, Sealer, Transaction } from '../../store/index.ts'
import type { EdgeInstruments } from '../instruments.ts'
import type { StoredEvent } from '../matrix/appservice.ts'
import type { GhostId, Ghosts } from '../matrix/ghosts.ts'
import type { Homeserver, Json, Masquerade } from '../matrix/homeserver.ts'
import type { Log } from '../matrix/log.ts'
import type { MatrixSettings } from '../matrix/settings.ts'
import type { Steps } from '../matrix/steps.ts'
import type { GroupTable } from './groups/table.ts'
import type { Turns } from './groups/turns.ts'
import type { LateEvents } from './late-events.ts'
import type { MessageMap } from './message-map.ts'
import type { OutboxTable } from './outbox-table.ts'
import type { PortalTable } from './portal-table.ts'
import type { PortalSettings } from './settings.ts'
import type { MatrixUsers } from './users.ts'

/** What the parts of the portals share. Made once, in `openPortals`. */
export interface PortalContext {
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly homeserver: Homeserver
  readonly ghosts: Ghosts
  readonly users: MatrixUsers
  readonly portals: PortalTable
  readonly groups: GroupTable
  readonly turns: Turns
  readonly outbox: OutboxTable
  readonly messages: MessageMap
  readonly late: LateEvents
  readonly settings: PortalSettings & Pick<MatrixSettings, 'findPages' | 'sendMemoryMs'>
  /** The provider's domain, as people are told who carries their messages. */
  readonly host: string
  readonly clock: () => number
  readonly log: Log
  readonly steps: Steps
  readonly counters: EdgeInstruments['counters']
  readonly timers: EdgeInstruments['timers']
  /** Counts a fault, and writes it down with where it happened. */
  readonly fault: (error: unknown, message: string) => void
  /** Given when the edge drains: nothing waits for anybody any more. */
  readonly stopping: AbortSignal
  /** Whether a Matrix id is one of our ghosts', or the bot's. */
  isOurs(mxid: string): boolean
  /** Deletes stored events of the homeserver, in the transaction that holds their effects. */
  finishEvent(tx: Transaction, ...ids: readonly number[]): Promise<void>
  /** Stores events that the homeserver did not push, right behind the one being handled, in the transaction that finishes it. */
  storeMissed(tx: Transaction, handled: StoredEvent, missed: readonly Json[]): Promise<void>
  /** Hands over a Matrix room's waiting events now. */
  wakeRoom(matrixRoom: string): void
  /** Lets a portal do what it has to do. After a commit, never before. */
  wake(portal: number): void
}

/** A transaction that commits only while the user's device is ours. */
export const owned = <T>(
  context: Pick<PortalContext, 'database' | 'users'>,
  account: AccountAddress,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> =>
  context.database.transaction(async (tx) => {
    context.users.check(tx, account)
    return work(tx)
  })

/** For calls on behalf of a ghost: with its device, or Synapse forgets transaction ids when it restarts. */
export const asGhost = async (context: Pick<PortalContext, 'ghosts'>, ghost: GhostId): Promise<Masquerade> => ({
  user: ghost,
  device: await context.ghosts.deviceOf(ghost),
})
