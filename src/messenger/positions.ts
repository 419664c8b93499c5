/** What is under way to a device and not acknowledged: bounded by its window, nothing is kept of quiet rooms. */
export function openPositions() {
  const rooms = new Map<number, { id: string; seqs: number[] }>()
  const numbers = new Map<string, number>()
  const welcomes = new Set<number>()
  let count = 0
  return {
    get underWay(): number {
      return count + welcomes.size
    },
    /** The last entry sent of a room; 0 when none is under way. */
    sentOf(room: number): number {
      return rooms.get(room)?.seqs.at(-1) ?? 0
    },
    sent(room: number, id: string, seq: number): void {
      const known = rooms.get(room) ?? { id, seqs: [] }
      rooms.set(room, known)
      numbers.set(id, room)
      known.seqs.push(seq)
      count++
    },
    sentWelcome(no: number): void {
      welcomes.add(no)
    },
    acknowledged(id: string, seq: number): void {
      const room = numbers.get(id)
      const known = room === undefined ? undefined : rooms.get(room)
      if (room === undefined || !known) return
      const rest = known.seqs.filter((each) => each > seq)
      count -= known.seqs.length - rest.length
      known.seqs = rest
      if (rest.length > 0) return
      rooms.delete(room)
      numbers.delete(id)
    },
    acknowledgedWelcome(no: number): void {
      welcomes.delete(no)
    },
  }
}
