import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Linux counts CPU time in hundredths of a second. */
const tickMs = 10

/** proc(5): after the name come state, parent, …; 11 and 12 are the own times, 13 and 14 those of ended children. */
const parent = 1
const own = [11, 12]
const withEnded = [11, 12, 13, 14]

/** CPU of a process so far, ms; 0 of one that has ended. */
export const cpuOfMs = (pid: number): number => sum(fieldsOf(String(pid)), own) * tickMs

/** CPU of PostgreSQL's server and its workers so far, ms, those that have ended included. */
export function cpuOfPostgresMs(folder: string): number {
  const server = readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]!
  let ticks = 0
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const fields = fieldsOf(pid)
    ticks += sum(fields, pid === server ? withEnded : fields[parent] === server ? own : [])
  }
  return ticks * tickMs
}

function fieldsOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
  } catch {
    // It has ended meanwhile.
    return []
  }
}

const sum = (fields: readonly string[], which: readonly number[]) =>
  which.reduce((total, field) => total + Number(fields[field] ?? 0), 0)
