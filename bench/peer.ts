import { loadavg } from 'node:os'
import { Client } from 'pg'
import { startPostgres } from '../test/support/postgres.ts'
import { type BenchOptions, wanted } from './options.ts'
import { type Figures, type Harness, prepareHarness, runPeer } from './peer-harness.ts'
import { runOurs } from './peer-ours.ts'
import { median } from './statistics.ts'
import type { DatabaseKind, Way } from './world.ts'

/** The service and the reference peer under the peer's own harness, on the same kind of database, in turns. */
export interface BesidePeer {
  readonly database: DatabaseKind
  readonly figures: readonly Compared[]
  /** Load average of the machine at the end of each round. */
  readonly load: readonly number[]
}

/** Each has one value of each round. */
export interface Compared {
  readonly way: Way
  /** 0: not flat out, but the latency at 20 messages a second in one room. */
  readonly rooms: 0 | 1 | 20
  readonly ours: Measured
  readonly peer: Measured
  /** Median of the rounds' ratios, ours to the peer's: of messages a second, and of p50 where it is the latency. */
  readonly ratio: number
}

export interface Measured {
  readonly perSecond: readonly number[]
  readonly p50: readonly number[]
  readonly p99: readonly number[]
  /** Of the bridge's process, for each message, ms; an embedded database is in it. */
  readonly cpuMs: readonly number[]
  readonly databaseCpuMs: readonly number[]
  /** Of all that measures: homeserver, Matrix user, and the messenger's devices (the peer has none). */
  readonly rigCpuMs: readonly number[]
  /** Messages that did not arrive, all rounds together. */
  readonly missing: number
}

/** By the harness' names. */
const compared = {
  r2m_1room: { way: 'to-matrix', rooms: 1 },
  r2m_20rooms: { way: 'to-matrix', rooms: 20 },
  m2r_1room_8senders: { way: 'to-messenger', rooms: 1 },
  m2r_20rooms: { way: 'to-messenger', rooms: 20 },
  r2m_latency: { way: 'to-matrix', rooms: 0 },
  m2r_latency: { way: 'to-messenger', rooms: 0 },
} as const

/**
 * Runs the reference peer's harness (mautrix bridgev2's Matrix client, a homeserver in memory, encryption on) once with the
 * peer and once with us in each round; who comes first changes. On PostgreSQL both use one server, each a database of its
 * own; embedded, the peer has SQLite and we have PGlite. The harness has to be built before by the `setup.sh` beside it;
 * PB_RUN names the folder where.
 */
export async function measurePeer(
  folder: string,
  options: BenchOptions,
  kinds: readonly DatabaseKind[],
  progress: (line: string) => void,
): Promise<BesidePeer[]> {
  using harness = prepareHarness(folder)
  const chosen = kinds.filter((kind) => wanted({ names: ['peer', ...options.names] }, 'peer', kind))
  // Durable, as it is run; and with the user that the harness' own has.
  const postgres = chosen.includes('postgres')
    ? await startPostgres(['fsync=on', 'full_page_writes=on', 'shared_buffers=128MB'])
    : undefined
  try {
    if (postgres) await onServer(postgres.url, 'create role postgres superuser login')
    const rounds = chosen.map((database) => ({
      database,
      ours: [] as Figures[],
      peer: [] as Figures[],
      load: [] as number[],
    }))
    for (let round = 1; round <= options.rounds; round++) {
      for (const { database, ours, peer, load } of rounds) {
        const server = database === 'postgres' ? postgres : undefined
        const given: Harness = { ...harness, messages: options.messages, round, database, server, progress }
        const turns = [
          async () => void peer.push(await runPeer(given)),
          async () => {
            if (server)
              await onServer(
                server.url,
                'drop database if exists silta_beside_peer with (force)',
                'create database silta_beside_peer',
              )
            ours.push(await runOurs(given, server && new URL('/silta_beside_peer', server.url).href))
          },
        ]
        for (const turn of round % 2 === 0 ? turns.reverse() : turns) await turn()
        load.push(loadavg()[0]!)
      }
      progress(`peer: round ${round} of ${options.rounds} is done, load ${loadavg()[0]!.toFixed(1)}`)
    }
    return rounds.map(({ database, ours, peer, load }) => ({ database, load, figures: compare(ours, peer) }))
  } finally {
    await postgres?.stop()
  }
}

function compare(ours: readonly Figures[], peer: readonly Figures[]): Compared[] {
  return Object.entries(compared).map(([name, described]) => {
    const sides = { ours: measured(ours, name), peer: measured(peer, name) }
    const of = described.rooms === 0 ? 'p50' : 'perSecond'
    const ratios = sides.ours[of].map((value, round) => value / sides.peer[of][round]!)
    return { ...described, ...sides, ratio: median(ratios) }
  })
}

function measured(rounds: readonly Figures[], name: string): Measured {
  const all = rounds.map((round) => round[name]!)
  const each = (value: (one: Figures[string]) => number | undefined) => all.flatMap((one) => value(one) ?? [])
  return {
    perSecond: each((one) => one.per_second),
    p50: each((one) => one.p50_ms),
    p99: each((one) => one.p99_ms),
    cpuMs: each((one) => one.bridge_cpu_ms_per_msg),
    databaseCpuMs: each((one) => one.database_cpu_ms_per_msg),
    rigCpuMs: each((one) => one.rig_cpu_ms_per_msg),
    missing: each((one) => one.missing).reduce((sum, one) => sum + one, 0),
  }
}

async function onServer(url: string, ...statements: string[]): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
