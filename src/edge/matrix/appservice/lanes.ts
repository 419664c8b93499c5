import type { MatrixSettings } from '../settings.ts'

/** The lanes for rooms that are entered: some of all, so that conversations go on whatever becomes of invitations. */
export interface EntryLanes {
  /** Gives the room a lane, or a place in the line for one: then it is woken when there may be one for it. */
  take(room: string, failedBefore: boolean): boolean
  /** Gives the room's lane back, if it has one. */
  release(room: string): void
  isInLine(room: string): boolean
}

type EntrySettings = Pick<MatrixSettings, 'entriesAtOnce' | 'failedEntriesAtOnce'>

/**
 * Attack: a server that invites ours into one room after another and answers no join. Each would hold a lane until it is
 * given up, so those that failed before have the least, and new invitations are not held up by them either.
 */
export function createEntryLanes(settings: EntrySettings, wake: (room: string) => void): EntryLanes {
  /** Rooms in a lane, and whether they failed before. */
  const held = new Map<string, boolean>()
  const lines = { first: new Set<string>(), again: new Set<string>() }
  const free = (failedBefore: boolean): number => {
    const all = settings.entriesAtOnce - held.size
    if (!failedBefore) return all
    const failed = [...held.values()].filter(Boolean).length
    return Math.min(all, settings.failedEntriesAtOnce - failed)
  }
  const callUp = (line: Iterable<string>, count: number) => {
    let left = count
    for (const room of line) {
      if (left-- <= 0) return
      wake(room)
    }
  }
  return {
    take(room, failedBefore) {
      const line = failedBefore ? lines.again : lines.first
      if (free(failedBefore) <= 0) {
        line.add(room)
        return false
      }
      line.delete(room)
      held.set(room, failedBefore)
      return true
    },
    release(room) {
      if (!held.delete(room)) return
      // Who is called up keeps the place until there is a lane: more than fit may come.
      callUp(lines.again, free(true))
      callUp(lines.first, free(false))
    },
    isInLine: (room) => lines.again.has(room) || lines.first.has(room),
  }
}
