import type { Transaction } from '../../../store/index.ts'
import { isHomeserverError } from '../homeserver.ts'
import { createLocks, type Locks } from '../locks.ts'
import type { ReadEvent } from './body.ts'
import { createPlacing, type Seen } from './placing.ts'
import { createSweep } from './sweep.ts'
import { timelineBehind } from './timeline.ts'
import type { AppserviceOptions } from './types.ts'

/**
 * What the homeserver never handed over, or much too late, is found in the rooms themselves. Synapse counts events as
 * handed over before their transaction is stored, so that a kill loses what was queued; and a transaction that was stored
 * and not sent when it was killed comes after the next one that fails, long behind later ones.
 *
 * So after anything of that kind may have happened, a room is compared with its timeline before its next event is handed
 * over: what stands there behind the last event that is known, and was not pushed, is put in its place. Rooms in which
 * nobody speaks are compared one after another (`sweep`), those heard of last first. A room whose timeline cannot be had for
 * long, though the homeserver is there, goes on without: it is compared when that is possible again.
 */
export interface Gaps {
  /** Something may have been missed, in any room. */
  suspect(): void
  /** The same, and more may be missed at any moment, until it is called with `false`: meanwhile no room is sure. */
  doubt(lasting: boolean): void
  /** Whether nothing can be missing in front of what comes now. */
  isSure(room: string): boolean
  /** Of these events those that were read back before: repetitions. */
  readBefore(tx: Transaction, events: readonly ReadEvent[]): Promise<ReadonlySet<string>>
  /** Notes how far rooms were taken; in the transaction that stores it. */
  heard(tx: Transaction, newest: ReadonlyMap<string, string>): void
  /** Events of this room wait for their place. */
  unplaced(room: string): void
  /** Rooms with such events. */
  readonly waiting: ReadonlySet<string>
  /** Gives a room's events their places, if any wait for that. @throws HomeserverError that is worth a retry */
  place(room: string): Promise<void>
  /** Looks for rooms with events that wait for their place. */
  start(): Promise<string[]>
  /** Compares the rooms that were heard of lately and not compared since; ends with the last of them, the next `sweep`, `stop`. */
  sweep(wake: (room: string) => void): Promise<void>
  stop(): void
}

/** Rooms remembered as compared; one that is forgotten costs one request more. */
const sureLimit = 100_000

export function createGaps(
  options: Pick<AppserviceOptions, 'database' | 'sealer' | 'crypto' | 'handlers' | 'settings' | 'log'>,
  /** Held by whoever stores transactions. */
  storing: Locks,
): Gaps {
  const { database, handlers, settings, log } = options
  const rooms = createLocks()
  const sure = new Set<string>()
  const waiting = new Set<string>()
  /** Rooms whose timeline cannot be had, though the homeserver is there: since when, and when it was last asked for. */
  const withheld = new Map<string, { since: number; askedAt: number }>()
  let suspicions = 0
  let doubted = false
  /** Whether anything was read back that may still be pushed. */
  let anyReadBack = true
  const placing = createPlacing(options, () => {
    anyReadBack = true
  })

  const look = async (room: string): Promise<Seen> => {
    const [known] = await database.query<{ event_id: string }>('select event_id from appservice_room where room = $1', [
      room,
    ])
    const timeline = known && (await handlers.timeline?.(room))
    if (known === undefined || timeline === undefined) return {}
    try {
      const behind = await timelineBehind(timeline, known.event_id, settings.gapPages)
      if (behind !== undefined) return { timeline, behind }
      log.warn({ code: 'gap' }, 'a room may lack events: the last known one is too far back')
      return {}
    } catch (error) {
      // Not in the room any more, for instance.
      if (!isHomeserverError(error) || error.retry || error.status === 401) throw error
      return {}
    }
  }

  /** The same, but what cannot be had for long does not hold up for ever what waits. */
  const lookInTime = async (room: string): Promise<Seen> => {
    const isOverdue = (since: number) => waiting.has(room) && performance.now() - since >= settings.gapHoldMs
    const before = withheld.get(room)
    if (before && isOverdue(before.since) && performance.now() - before.askedAt < settings.gapRetryMaxMs)
      return { withheld: true }
    try {
      const seen = await look(room)
      withheld.delete(room)
      return seen
    } catch (error) {
      // One that is away has nothing for anybody, and is waited for.
      if (doubted) throw error
      const askedAt = performance.now()
      const since = withheld.get(room)?.since ?? askedAt
      withheld.set(room, { since, askedAt })
      if (!isOverdue(since)) throw error
      log.warn({ code: 'gap' }, 'the timeline of a room cannot be had: its events go on as they were pushed')
      return { withheld: true }
    }
  }

  const compare = (room: string): Promise<{ missed: number; compared: boolean }> =>
    rooms.run(room, async () => {
      if (sure.has(room) && !waiting.has(room)) return { missed: 0, compared: true }
      for (;;) {
        const suspicion = suspicions
        const before = await placing.unplaced(database, room)
        const seen = await lookInTime(room)
        const compared = seen.withheld === undefined
        const missed = await storing.run('', async () => {
          // Something may have been lost in front of what has come since the timeline was read.
          if (suspicion !== suspicions) return undefined
          const count = await database.transaction((tx) => placing.settle(tx, room, before, seen, !doubted))
          waiting.delete(room)
          if (compared && suspicion === suspicions && !doubted) {
            if (sure.size >= sureLimit) sure.clear()
            sure.add(room)
          }
          return count
        })
        if (missed === undefined) continue
        if (missed > 0) log.info({ count: missed }, 'events that the homeserver had not handed over were read back')
        return { missed, compared }
      }
    })

  const suspect = () => {
    suspicions++
    sure.clear()
  }
  const sweep = createSweep({
    ...{ database, settings, log, compare },
    isSure: (room) => sure.has(room),
    isWaiting: (room) => waiting.has(room),
    suspicions: () => suspicions,
  })
  return {
    suspect,
    doubt(lasting) {
      doubted = lasting
      withheld.clear()
      suspect()
    },
    isSure: (room) => sure.has(room),
    heard: placing.heard,
    async readBefore(tx, events) {
      if (!anyReadBack || events.length === 0) return new Set()
      const rows = await tx.query<{ event_id: string }>(
        'select event_id from appservice_read_back where event_id = any($1::text[])',
        [events.map(({ eventId }) => eventId)],
      )
      return new Set(rows.map((row) => row.event_id))
    },
    unplaced: (room) => void waiting.add(room),
    waiting,
    async place(room) {
      if (waiting.has(room)) await compare(room)
    },
    async start() {
      const rows = await database.query<{ room: string }>('select distinct room from appservice_event where unplaced')
      for (const { room } of rows) waiting.add(room)
      anyReadBack = (await database.query('select 1 from appservice_read_back limit 1')).length > 0
      return rows.map(({ room }) => room)
    },
    sweep: sweep.run,
    stop: sweep.stop,
  }
}
