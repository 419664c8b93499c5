import { delay } from '../locks.ts'
import type { AppserviceOptions } from './types.ts'

/** Compares rooms in which nobody speaks, one after another. */
export interface Sweep {
  /**
   * Compares the rooms that were heard of lately and are not sure, those heard of last first; those that cannot be compared
   * again and again, with a growing wait. @returns when all are compared, or with the next call, or `stop`
   */
  run(wake: (room: string) => void): Promise<void>
  stop(): void
}

export interface SweepOptions extends Pick<AppserviceOptions, 'database' | 'settings' | 'log'> {
  /** Gives how many events were missing, and whether there was anything to compare with that could be had. */
  compare(room: string): Promise<{ missed: number; compared: boolean }>
  isSure(room: string): boolean
  /** Whether events of it wait for their place. */
  isWaiting(room: string): boolean
  /** Grows when something may have been missed, in any room. */
  suspicions(): number
}

/** Rooms that are taken from the table at one go. */
const sweepPage = 100

interface RoomRow {
  readonly room: string
  readonly heard_at: number
}

export function createSweep(options: SweepOptions): Sweep {
  const { database, settings, log, isSure, suspicions } = options
  let current = new AbortController()

  const pageBehind = (after: RoomRow | undefined) =>
    database.query<RoomRow>(
      `select room, heard_at from appservice_room
        where heard_at > now_ms() - $1 and ($2::int8 is null or (heard_at, room) < ($2, $3))
        order by heard_at desc, room desc limit $4`,
      [settings.gapWithinMs, after?.heard_at ?? null, after?.room ?? '', sweepPage],
    )

  const compareOne = async (room: string, wake: (room: string) => void): Promise<boolean> => {
    try {
      const had = options.isWaiting(room)
      const { missed, compared } = await options.compare(room)
      if (missed > 0 || had) wake(room)
      return compared
    } catch {
      return false
    }
  }

  return {
    async run(wake) {
      current.abort()
      current = new AbortController()
      const { signal } = current
      const left = new Set<string>()
      let failures = 0
      const pause = () => delay(Math.min(settings.gapRetryMs * 2 ** failures++, settings.gapRetryMaxMs), signal)
      let suspicion = suspicions()
      const begins = () => {
        const anew = suspicion !== suspicions()
        suspicion = suspicions()
        return anew
      }

      const throughAll = async () => {
        for (let after: RoomRow | undefined; !signal.aborted; ) {
          // From the beginning again: what was compared is not sure any more.
          if (begins()) after = undefined
          let rows: RoomRow[]
          try {
            rows = await pageBehind(after)
          } catch {
            await pause()
            continue
          }
          for (const { room } of rows) {
            if (signal.aborted) return
            if (isSure(room)) {
              left.delete(room)
              continue
            }
            if (await compareOne(room, wake)) {
              left.delete(room)
              failures = 0
              await delay(settings.gapRoomMs, signal)
            } else {
              left.add(room)
              await pause()
            }
          }
          after = rows.at(-1)
          if (rows.length < sweepPage && suspicion === suspicions()) return
        }
      }
      const throughLeft = async () => {
        for (failures = 0; left.size > 0 && suspicion === suspicions() && !signal.aborted; ) {
          log.warn({ code: 'gap', count: left.size }, 'rooms could not be compared with their timelines yet')
          await pause()
          for (const room of left) {
            if (signal.aborted) return
            if (isSure(room) || (await compareOne(room, wake))) left.delete(room)
            await delay(settings.gapRoomMs, signal)
          }
        }
      }
      do {
        await throughAll()
        await throughLeft()
      } while (left.size > 0 && !signal.aborted)
    },
    stop() {
      current.abort()
    },
  }
}
