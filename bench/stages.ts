import type { Profiler } from 'node:inspector'

/** Milliseconds of CPU by what was done. */
export type Stages = Record<string, number>

/** What a frame's file says about what is being done; the innermost frame that says something counts. */
const places: readonly [RegExp, string][] = [
  [/matrix-sdk-crypto-wasm/, 'Olm and Megolm (WASM)'],
  [/fake-indexeddb|edge\/matrix\/ghosts\/(idb|crypto-store)/, "the Olm machine's storage"],
  [/ts-mls|src\/mls\/|@noble\//, 'MLS'],
  [/src\/crypto\/|internal\/crypto/, 'primitives (seal, hash, sign)'],
  [/node_modules\/pg|electric-sql|src\/store\//, 'database client or engine'],
  [/@bufbuild|src\/protocol\//, 'frames'],
  [/undici|src\/edge\/matrix\/homeserver/, 'requests to the homeserver'],
  [/node_modules\/(hono|@hono)|edge\/matrix\/(appservice|bounded)/, 'transactions of the homeserver'],
  [/node_modules\/ws\//, 'WebSockets'],
  [/cborg|src\/cbor\/|src\/content\//, 'CBOR and content'],
  [/src\/hub\//, 'hub'],
  [/src\/messenger\//, 'gateway'],
  [/src\/client\//, "edge's devices (SDK)"],
  [/src\/edge\//, 'portals and translation'],
]

/**
 * Sums a CPU profile by stage. What no frame of ours stands above is the runtime: sockets, timers, promises.
 *
 * @param cpu milliseconds that the profiled thread and the others took meanwhile. The profiler takes its samples by the
 *   clock, also while another process has the core: so its shares are laid over the CPU time that there was.
 */
export function stagesOf(profile: Profiler.Profile, cpu: { thread: number; others: number }): Stages {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map<number, number>()
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id)
  const known = new Map<number, string>()
  const stageOf = (id: number): string => {
    const found = known.get(id)
    if (found !== undefined) return found
    const { url, functionName } = nodes.get(id)!.callFrame
    const parent = parents.get(id)
    const own =
      functionName === '(garbage collector)' ? 'garbage collection' : places.find(([pattern]) => pattern.test(url))?.[1]
    const stage = own ?? (parent === undefined ? 'runtime: sockets, timers, promises' : stageOf(parent))
    known.set(id, stage)
    return stage
  }
  const stages: Stages = {}
  const { samples = [], timeDeltas = [] } = profile
  for (const [index, id] of samples.entries()) {
    const name = nodes.get(id)!.callFrame.functionName
    if (name === '(idle)') continue
    const stage = name === '(program)' ? 'runtime: sockets, timers, promises' : stageOf(id)
    stages[stage] = (stages[stage] ?? 0) + (timeDeltas[index] ?? 0)
  }
  const sum = Object.values(stages).reduce((all, one) => all + one, 0)
  for (const stage of Object.keys(stages)) stages[stage]! *= cpu.thread / sum
  return { ...stages, 'other threads: compilation, garbage collection, files': cpu.others }
}
