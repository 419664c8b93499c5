import type { Locks } from '../locks.ts'
import type { Machine } from './machine.ts'
import type { GhostId } from './types.ts'

/** A ghost whose machine is in memory. */
export interface Loaded {
  readonly mxid: GhostId
  readonly machine: Machine
  /** `inbox`, `requests`, `claims`, `room {id}`: what must not run twice at once. */
  readonly locks: Locks
  /** Users whose devices the machine follows. */
  readonly tracked: Set<string>
  /** Rooms in which it was found that somebody can read. Emptied when any device changes. */
  readonly readable: Map<string, Readable>
  /** Room keys whose sender was asked for anew, since their device was not known or not signed. */
  readonly asked: Set<string>
  /** device_change up to here is known to the machine. */
  listsSeen: number
}

/** For whom it was found, and with which room key; another reader or another key, and it has to be found again. */
interface Readable {
  readonly readers: string
  readonly session?: string
}
