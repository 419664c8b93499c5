import type { Crypto } from '../../../crypto/index.ts'
import type { Database, Sealer } from '../../../store/index.ts'
import type { Homeserver } from '../homeserver.ts'
import type { Locks } from '../locks.ts'
import type { Log, Steps } from '../log.ts'
import type { MatrixSettings } from '../settings.ts'
import type { Claims } from './claims.ts'
import type { Inbox } from './inbox.ts'
import type { Machine } from './machine.ts'
import type { GhostId } from './types.ts'

/** What all ghosts of this process share. */
export interface Context {
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly homeserver: Homeserver
  readonly claims: Claims
  readonly inbox: Inbox
  readonly settings: MatrixSettings
  readonly log: Log
  readonly steps: Steps
  /** Whether a Matrix id is in our namespace: a ghost, or the bot. */
  readonly isOurs: (user: string) => boolean
}

/** A ghost whose machine is in memory. */
export interface Loaded {
  readonly mxid: GhostId
  readonly machine: Machine
  /** `inbox`, `requests`, `claims`, `room {id}`: what must not run twice at once. */
  readonly locks: Locks
  /** Users whose devices the machine follows. */
  readonly tracked: Set<string>
  /** Room → the readers for whom it was last found that somebody can read. Emptied when any device changes. */
  readonly readable: Map<string, string>
  /** Room keys whose sender was asked for anew, since their device was not known or not signed. */
  readonly asked: Set<string>
  /** device_change up to here is known to the machine. */
  listsSeen: number
}
