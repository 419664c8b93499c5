import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Way } from './world.ts'

/** One figure of the reference peer in one round, as its harness wrote it. */
interface PeerFigure {
  readonly per_second?: number
  readonly bridge_cpu_ms_per_msg?: number
  readonly missing?: number
  readonly p50_ms?: number
  readonly p99_ms?: number
}

/** What the harness of the reference peer measured, a run for each round, by its own names. */
export interface PeerRuns {
  readonly rounds: Readonly<Record<string, PeerFigure>>[]
}

/** What the harness calls the figure that is ours of this way and number of rooms. */
export const peerName = (way: Way, rooms: number): string =>
  way === 'to-matrix' ? `r2m_${rooms}room${rooms === 1 ? '' : 's'}` : rooms === 1 ? 'm2r_1room_8senders' : 'm2r_20rooms'

export const peerLatency = (way: Way): string => (way === 'to-matrix' ? 'r2m_latency' : 'm2r_latency')

/** One run takes a minute or two; more when much else goes on. */
const runMs = 20 * 60_000
const run = promisify(execFile)

/**
 * Runs the reference peer's own harness (mautrix bridgev2 with a homeserver in memory, on PostgreSQL, encryption on) once
 * in each round. It has to be built before by the `setup.sh` beside it, which also starts its PostgreSQL; PB_RUN names
 * the folder where it was built.
 */
export function measurePeer(folder: string, messages: number, progress: (line: string) => void) {
  const built = process.env.PB_RUN ?? join(folder, 'run')
  const python = join(built, 'synvenv', 'bin', 'python')
  for (const needed of [join(folder, 'run.py'), join(built, 'bin', 'mxbench'), python])
    if (!existsSync(needed)) throw new Error(`${needed} is missing: build the reference peer with its setup.sh first`)
  const rounds: Record<string, PeerFigure>[] = []
  return {
    results: { rounds } satisfies PeerRuns,
    async round() {
      const label = `silta-${rounds.length + 1}`
      const what = ['--hs', 'stub', '--enc', 'on', '--db', 'postgres', '--phases', 'r2m,m2r', '--starts', '1']
      const count = Math.min(200, messages)
      const how = ['--messages', String(messages), '--lat-count', String(count), '--lat-rate', '20']
      const environment = { ...process.env, PB_RUN: built }
      await run(python, [join(folder, 'run.py'), label, ...what, ...how], { env: environment, timeout: runMs })
      const found = JSON.parse(readFileSync(join(built, label, 'out.json'), 'utf8')) as Record<string, PeerFigure>
      rounds.push(found)
      for (const [name, { per_second: perSecond, p50_ms: p50 }] of Object.entries(found)) {
        if (perSecond !== undefined) progress(`peer ${name}: ${Math.round(perSecond)}/s`)
        if (p50 !== undefined) progress(`peer ${name}: p50 ${p50} ms`)
      }
    },
  }
}
