/** An entry that is under way. */
export interface UnderWay {
  readonly seq: number
  /** Whether it is a message of another device. */
  readonly counts: boolean
  /** When the hub took it, milliseconds since the epoch, where the device was there at that time. */
  readonly at: number | undefined
}

/** What is under way to a device and not acknowledged: bounded by its window, nothing is kept of quiet rooms. */
export function openPositions() {
  const rooms = new Map<number, { id: string; entries: UnderWay[] }>()
  const numbers = new Map<string, number>()
  const welcomes = new Set<number>()
  let count = 0
  return {
    get underWay(): number {
      return count + welcomes.size
    },
    /** Numbers of the Welcomes under way. */
    get welcomes(): readonly number[] {
      return [...welcomes]
    },
    /** The last entry sent of a room; 0 when none is under way. */
    sentOf(room: number): number {
      return rooms.get(room)?.entries.at(-1)?.seq ?? 0
    },
    sent(room: number, id: string, entry: UnderWay): void {
      const known = rooms.get(room) ?? { id, entries: [] }
      rooms.set(room, known)
      numbers.set(id, room)
      known.entries.push(entry)
      count++
    },
    sentWelcome(no: number): void {
      welcomes.add(no)
    },
    /** Takes out what was acknowledged by this, and gives it. */
    acknowledged(id: string, seq: number): UnderWay[] {
      const room = numbers.get(id)
      const known = room === undefined ? undefined : rooms.get(room)
      if (room === undefined || !known) return []
      const first = known.entries.findIndex((each) => each.seq > seq)
      const done = known.entries.splice(0, first < 0 ? known.entries.length : first)
      count -= done.length
      if (known.entries.length === 0) {
        rooms.delete(room)
        numbers.delete(id)
      }
      return done
    },
    acknowledgedWelcome(no: number): void {
      welcomes.delete(no)
    },
  }
}
