import type { Crypto } from '../../../crypto/index.ts'
import type { Database, Sealer } from '../../../store/index.ts'
import type { Homeserver } from '../homeserver.ts'
import type { Log } from '../log.ts'
import type { MatrixSettings } from '../settings.ts'
import type { Steps } from '../steps.ts'
import type { Claims } from './claims.ts'
import type { Inbox } from './inbox.ts'

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
  /** Which life of the database it is, since it was put back from a backup: ghosts with a device from before get a new one. */
  readonly incarnation: number
  /** Whether a Matrix id is in our namespace: a ghost, or the bot. */
  readonly isOurs: (user: string) => boolean
}
