import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** What the harness of the reference peer wrote, a run for each round, as it is. */
export interface PeerRuns {
  readonly folder: string
  readonly rounds: unknown[]
}

/** The peer's runs take minutes with all their phases. */
const runMs = 20 * 60_000
const run = promisify(execFile)

/**
 * Runs the reference peer's own harness (mautrix bridgev2 with its stub homeserver, on PostgreSQL, encryption on) once in
 * each round. It has to be built before, see its README; PB_RUN names where.
 */
export function measurePeer(folder: string, progress: (line: string) => void) {
  const built = process.env.PB_RUN ?? join(folder, 'run')
  const rounds: unknown[] = []
  return {
    results: { folder, rounds } satisfies PeerRuns,
    async round() {
      const label = `silta-${rounds.length + 1}`
      progress(`peer: ${label}`)
      const what = ['--hs', 'stub', '--enc', 'on', '--db', 'postgres', '--phases', 'r2m,m2r', '--starts', '1']
      const how = ['--messages', '1000', '--lat-count', '200', '--lat-rate', '20']
      const python = join(built, 'synvenv', 'bin', 'python')
      const environment = { ...process.env, PB_RUN: built }
      await run(python, [join(folder, 'run.py'), label, ...what, ...how], { env: environment, timeout: runMs })
      rounds.push(JSON.parse(readFileSync(join(built, label, 'out.json'), 'utf8')))
    },
  }
}
