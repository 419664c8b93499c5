import type { Log } from './log.ts'

/** Lines about faults of one kind that are written in a minute: while a database is away, each request is one. */
const mostLines = 20
/** Kinds that are told apart. A code may be another server's, and then there is no end of them. */
const mostKinds = 100
const minuteMs = 60_000

/**
 * Writes faults down, of each kind no more than can be read: a flood of them must not fill the disk. What is left out is
 * only counted, by whoever calls this.
 */
export function openFaultLog(write: Log['error'], clock: () => number = () => performance.now()) {
  const lines = new Map<string, number>()
  let begun = clock()
  return (kind: string, fields: object, message: string): void => {
    if (clock() - begun >= minuteMs) {
      lines.clear()
      begun = clock()
    }
    const known = lines.has(kind) || lines.size < mostKinds ? kind : 'other'
    const line = (lines.get(known) ?? 0) + 1
    lines.set(known, line)
    if (line <= mostLines) write(fields, message)
  }
}
