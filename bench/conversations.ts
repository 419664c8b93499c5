import { loadavg } from 'node:os'
import { type BenchOptions, wanted } from './options.ts'
import type { Stages } from './stages.ts'
import { median, quantile } from './statistics.ts'
import { type DatabaseKind, openWorld, type Way, type World } from './world.ts'

/** Medians over the rounds. */
export interface Conversations {
  readonly database: DatabaseKind
  readonly way: Way
  readonly rooms: number
  readonly perSecond?: number
  /** Messages a second of each round. */
  readonly rounds?: readonly number[]
  readonly lowest?: number
  readonly highest?: number
  /** CPU of the service for each message, ms; with PGlite the database is in it. */
  readonly cpuMs?: number
  readonly databaseCpuMs?: number
  /** CPU of what measures: the messenger's devices, the homeserver in memory and its user, all in one process. */
  readonly rigCpuMs?: number
  /** At 20 messages a second in one room, ms. */
  readonly latency?: { readonly p50: number; readonly p99: number; readonly samples: number }
  /** CPU by stage, ms for each message. */
  readonly stages?: Stages
  /** Load average of the machine while it was measured. */
  readonly load: number
}

const ways = ['to-matrix', 'to-messenger'] as const
const manyRooms = 20
/** Below what the slowest database sustains, and as the reference peer was measured. */
const pacedPerSecond = 20

interface Cell {
  database: DatabaseKind
  way: Way
  rooms: number
  perSecond: number[]
  cpuMs: number[]
  databaseCpuMs: number[]
  rigCpuMs: number[]
  p50: number[]
  p99: number[]
  samples: number
  stages?: Stages
}

/** All databases, ways and numbers of rooms in turn, round after round, so that a change of the machine hits all alike. */
export async function measureConversations(
  options: BenchOptions,
  kinds: readonly DatabaseKind[],
  progress: (line: string) => void,
): Promise<Conversations[]> {
  const cells = kinds.flatMap((database) =>
    ways.flatMap((way) =>
      [1, manyRooms].map((rooms): Cell => {
        const figures = { perSecond: [], cpuMs: [], databaseCpuMs: [], rigCpuMs: [], p50: [], p99: [] }
        return { database, way, rooms, ...figures, samples: 0 }
      }),
    ),
  )
  const wants = (what: string, { database, way, rooms }: Cell) =>
    wanted(options, what, database, way, `${rooms}-room${rooms === 1 ? '' : 's'}`)
  const chosen = cells.filter((cell) => ['throughput', 'cpu', 'latency', 'profile'].some((what) => wants(what, cell)))
  if (chosen.length === 0) return []
  const worlds = new Map<DatabaseKind, World>()
  try {
    for (const kind of new Set(chosen.map(({ database }) => database)))
      worlds.set(kind, await openWorld(kind, Math.max(...chosen.map(({ rooms }) => rooms)), progress))
    // The first messages open sessions and warm the engine: they are nobody's figures.
    for (const [kind, world] of worlds) {
      progress(`${kind}: warming up`)
      for (const way of ways) await world.flood(way, 1, options.messages / 4)
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const cell of chosen) await measureOnce(cell, worlds.get(cell.database)!, options, wants, progress)
      progress(`round ${round} of ${options.rounds} is done, load ${loadavg()[0]!.toFixed(1)}`)
    }
    for (const cell of chosen) {
      if (!wants('profile', cell)) continue
      const { service, flood } = worlds.get(cell.database)!
      const sums = await service.profile(async () => void (await flood(cell.way, cell.rooms, options.messages)))
      cell.stages = Object.fromEntries(Object.entries(sums).map(([stage, ms]) => [stage, ms / options.messages]))
    }
  } finally {
    for (const world of worlds.values()) await world[Symbol.asyncDispose]()
  }
  return chosen.map(
    ({ database, way, rooms, perSecond, cpuMs, databaseCpuMs, rigCpuMs, p50, p99, samples, stages }) => ({
      database,
      way,
      rooms,
      ...(perSecond.length > 0 && {
        perSecond: median(perSecond),
        rounds: perSecond,
        lowest: Math.min(...perSecond),
        highest: Math.max(...perSecond),
        cpuMs: median(cpuMs),
        databaseCpuMs: median(databaseCpuMs),
        rigCpuMs: median(rigCpuMs),
      }),
      ...(p50.length > 0 && { latency: { p50: median(p50), p99: median(p99), samples } }),
      ...(stages && { stages }),
      load: loadavg()[0]!,
    }),
  )
}

async function measureOnce(
  cell: Cell,
  { service, flood, paced, databaseCpuMs }: World,
  options: BenchOptions,
  wants: (what: string, cell: Cell) => boolean,
  progress: (line: string) => void,
): Promise<void> {
  const { database, way, rooms } = cell
  const { messages } = options
  const name = `${database} ${way} ${rooms === 1 ? '1 room' : `${rooms} rooms`}`
  if (wants('throughput', cell) || wants('cpu', cell)) {
    const rig = process.cpuUsage()
    const before = [(await service.usage()).cpuMs, databaseCpuMs()] as const
    const seconds = await flood(way, rooms, messages)
    const after = [(await service.usage()).cpuMs, databaseCpuMs()] as const
    const { user, system } = process.cpuUsage(rig)
    cell.rigCpuMs.push((user + system) / 1000 / messages)
    cell.perSecond.push(messages / seconds)
    cell.cpuMs.push((after[0] - before[0]) / messages)
    cell.databaseCpuMs.push((after[1] - before[1]) / messages)
    progress(`${name}: ${Math.round(messages / seconds)}/s, ${cell.cpuMs.at(-1)!.toFixed(2)} ms CPU a message`)
  }
  if (rooms === 1 && wants('latency', cell)) {
    const samples = Math.min(200, messages)
    const times = await paced(way, samples, pacedPerSecond)
    cell.p50.push(quantile(times, 0.5))
    cell.p99.push(quantile(times, 0.99))
    cell.samples += samples
    progress(`${name}: p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`)
  }
}
