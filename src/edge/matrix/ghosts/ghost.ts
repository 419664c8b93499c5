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
  /** The room keys that began in this process, by room. */
  readonly roomKeys: Map<string, RoomKey>
  /** Room keys whose sender was asked for anew, since their device was not known or not signed. */
  readonly asked: Set<string>
  /** device_change up to here is known to the machine. */
  listsSeen: number
  /** Whether the machine may want something sent that was tried in vain. */
  owes: boolean
  /** Drops what of the machine's state nobody has used for long. */
  prune(): Promise<void>
}

/** For whom it was found, and with which room key; another reader or another key, and it has to be found again. */
interface Readable {
  readonly readers: string
  readonly session?: string
  /** What the machine had been told by then, where all their devices had the key; unless it was told more, they still have it. */
  readonly told?: number
}

/** The room key in use. */
interface RoomKey {
  readonly session: string
  /**
   * When its first message was encrypted, ms since the epoch. The key itself is hardly older: one that nobody could be given
   * is made anew, and only where a process ended between the two does it lie there for longer.
   */
  readonly begunAt: number
  /** Index of the next message under it. */
  readonly next: number
}
