import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { PostgresServer } from '../test/support/postgres.ts'
import { cpuOfPostgresMs } from './processes.ts'
import type { DatabaseKind } from './world.ts'

/** What the harness said of one phase, by its own names, and what we have counted beside it. */
export type Figures = Readonly<Record<string, Figure>>

interface Figure {
  readonly per_second?: number
  readonly p50_ms?: number
  readonly p99_ms?: number
  readonly missing?: number
  /** How many messages of a throughput measurement, and of a latency. */
  readonly messages?: number
  readonly n?: number
  readonly bridge_cpu_ms_per_msg?: number
  readonly hs_cpu_ms_per_msg?: number
  readonly harness_cpu_ms_per_msg?: number
  readonly database_cpu_ms_per_msg?: number
  readonly rig_cpu_ms_per_msg?: number
}

export interface Built {
  /** Where the harness' sources are, and what was built from them. */
  readonly folder: string
  readonly built: string
}

export interface Harness extends Built {
  readonly messages: number
  readonly round: number
  readonly database: DatabaseKind
  /** Undefined where the database is embedded. */
  readonly server: PostgresServer | undefined
  readonly progress: (line: string) => void
}

/** Samples of a latency; the harness' own runs have as many. */
export const samplesOf = (messages: number): number => Math.min(200, messages)
export const samplesPerSecond = 20

/** One run takes a minute or two; more when much else goes on. */
const runMs = 20 * 60_000
/** Lines of a run that failed that are shown. */
const shownLines = 20

/** In the harness' main function, before the phases that count; and what is put there. */
const beforePhases = '\tif has("r2m") {\n'
const warmUp = `	if n >= 80 {
		b.r2mThroughput("warm_r2m", ps, n/2)
		b.sendBurst("warm_m2r", b.cli, rooms, n/2, 1, b.remoteLog)
	}
`

/**
 * What `setup.sh` has built, in a folder of its own, with the harness built once more from a copy with one addition: half as
 * many messages each way before those that count, as in our own measurements. A runtime that compiles what is often run is
 * otherwise measured while it does.
 *
 * @throws when it has not been built, or cannot be
 */
export function prepareHarness(folder: string): Built & Disposable {
  const from = resolve(process.env.PB_RUN ?? join(folder, 'run'))
  const needed = ['bin/stubhs', 'bin/dummybridge', 'synvenv']
  for (const file of [join(folder, 'run.py'), ...needed.map((name) => join(from, name))])
    if (!existsSync(file)) throw new Error(`${file} is missing: build the reference peer with its setup.sh first`)
  const built = mkdtempSync(join(tmpdir(), 'silta-bench-harness-'))
  const remove = () => rmSync(built, { recursive: true, force: true })
  process.once('exit', remove)
  mkdirSync(join(built, 'bin'))
  for (const name of needed) symlinkSync(join(from, name), join(built, name))
  for (const name of ['go.mod', 'go.sum', 'mxbench'])
    cpSync(join(folder, name), join(built, 'go', name), { recursive: true })
  const main = join(built, 'go', 'mxbench', 'main.go')
  const source = readFileSync(main, 'utf8')
  if (source.split(beforePhases).length !== 2) throw new Error('the harness is another one than this was written for')
  writeFileSync(main, source.replace(beforePhases, warmUp + beforePhases))
  const build = ['build', '-o', join(built, 'bin', 'mxbench'), './mxbench']
  const { status } = spawnSync('go', build, { cwd: join(built, 'go'), stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('the harness could not be built: it needs Go')
  return {
    ...{ folder, built },
    [Symbol.dispose]() {
      process.off('exit', remove)
      remove()
    },
  }
}

/** One run of the peer, as the harness' authors run it. */
export function runPeer(harness: Harness): Promise<Figures> {
  const { folder, built, messages, database, server } = harness
  const where = ['--hs', 'stub', '--enc', 'on', '--db', database === 'postgres' ? 'postgres' : 'sqlite']
  const what = ['--phases', 'r2m,m2r', '--starts', '0', '--messages', String(messages)]
  const latency = ['--lat-count', String(samplesOf(messages)), '--lat-rate', String(samplesPerSecond)]
  return measureRun(harness, 'peer', {
    command: [
      join(built, 'synvenv', 'bin', 'python'),
      join(folder, 'run.py'),
      'silta-peer',
      ...where,
      ...what,
      ...latency,
    ],
    environment: { PB_RUN: built, ...(server && { PB_PG_PORT: new URL(server.url).port }) },
  })
}

export interface Run {
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** CPU so far of what the messenger's people use, ms. */
  readonly devicesCpuMs?: () => number
}

/**
 * Runs the harness to its end and reads what it says of each phase. CPU that it does not count is counted here from one
 * of its lines to the next: with each it ends a phase, and the next begins at once.
 */
export async function measureRun(
  { server, database, round, progress }: Harness,
  who: string,
  { command, environment, devicesCpuMs }: Run,
): Promise<Figures> {
  const [program, ...words] = command
  const child = spawn(program!, words, {
    stdio: ['ignore', 2, 'pipe'],
    env: { ...process.env, ...environment },
    // It leads a group of its own, so that what it has started ends with it.
    detached: true,
  })
  const end = endGroup(child)
  process.once('exit', end)
  const timer = setTimeout(end, runMs)
  const cpu = () => ({ database: server ? cpuOfPostgresMs(server.folder) : 0, devices: devicesCpuMs?.() ?? 0 })
  const figures: Record<string, Figure> = {}
  const said: string[] = []
  let before = cpu()
  try {
    const closed = once(child, 'close')
    for await (const line of createInterface({ input: child.stderr! })) {
      said.push(line)
      if (said.length > shownLines) said.shift()
      const [, name, text] = /^\S+ \S+ (\w+): (\{.*\})$/.exec(line) ?? []
      if (name === undefined && !line.includes('warm-up missing')) continue
      const now = cpu()
      if (name !== undefined) {
        const figure = JSON.parse(text!) as Figure
        const count = figure.messages ?? (figure.n ?? 0) + (figure.missing ?? 0)
        const { hs_cpu_ms_per_msg: homeserver = 0, harness_cpu_ms_per_msg: client = 0 } = figure
        figures[name] = {
          ...figure,
          database_cpu_ms_per_msg: (now.database - before.database) / count,
          rig_cpu_ms_per_msg: homeserver + client + (now.devices - before.devices) / count,
        }
        const shown = figure.per_second ?? figure.p50_ms
        const cost = `${figure.bridge_cpu_ms_per_msg} ms CPU a message`
        if (shown !== undefined)
          progress(
            `${who}, ${database}, round ${round}, ${name}: ${shown}${figure.per_second ? '/s' : ' ms (p50)'}, ${cost}`,
          )
      }
      before = now
    }
    await closed
    if (figures.m2r_latency === undefined) throw new Error(`${who}: the run broke off\n${said.join('\n')}`)
    return figures
  } finally {
    clearTimeout(timer)
    process.off('exit', end)
    end()
  }
}

function endGroup({ pid }: ChildProcess): () => void {
  return () => {
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    } catch {
      // All of them have ended.
    }
  }
}
