import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Target } from './targets.ts'

export interface FuzzOptions {
  /** Ends after so many inputs, or so many milliseconds. */
  readonly inputs: number
  readonly milliseconds: number
  readonly random: () => number
}

export interface Fuzzed {
  readonly inputs: number
  /** Different ways in which it answered or refused. */
  readonly ways: number
  readonly failures: readonly Failure[]
}

export interface Failure {
  readonly input: Uint8Array
  readonly why: string
}

const corpusFolder = join(import.meta.dirname, 'corpus')
/** Largest input, bytes: what is longer takes the same paths more often. */
const longest = 16 * 1024
/** CPU that one input may take, ms. Far above what any needs (a few): what it catches grows without bound. */
const mostCpuMs = 3_000
/** Inputs kept to begin from: those that did something new. */
const mostKept = 500
const mostFailures = 5
/** What bounds are checked with: signs, lengths, ends. */
const telling = [0, 1, 0x7f, 0x80, 0xff, 0x1a, 0x1b, 0x3b, 0x5b, 0x7b, 0x9b, 0xbb, 0x22, 0x5c, 0x3c, 0x3e, 0x2a, 0x60]

/** Inputs that failed once, or are worth beginning from. */
export function corpusOf(name: string): Uint8Array[] {
  const folder = join(corpusFolder, name)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(folder, file))))
}

/** Keeps an input for good. @returns the file */
export function keep(name: string, input: Uint8Array): string {
  const folder = join(corpusFolder, name)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${createHash('sha256').update(input).digest('hex').slice(0, 16)}.bin`)
  writeFileSync(file, input)
  return file
}

/** Gives a target its seeds, its corpus, and then what can be made of them. */
export async function fuzz(target: Target, { inputs, milliseconds, random }: FuzzOptions): Promise<Fuzzed> {
  const pool = [...target.seeds, ...corpusOf(target.name)]
  const ways = new Set<string>()
  const failures: Failure[] = []
  let done = 0
  const give = async (input: Uint8Array): Promise<void> => {
    done++
    const { way, failure } = await tryOne(target, input)
    if (failure !== undefined && failures.length < mostFailures) failures.push({ input, why: failure })
    if (ways.has(way)) return
    ways.add(way)
    if (pool.length < mostKept) pool.push(input)
  }
  for (const input of [...pool]) await give(input)
  const end = performance.now() + milliseconds
  while (done < inputs && performance.now() < end && failures.length < mostFailures) await give(mutated(pool, random))
  return { inputs: done, ways: ways.size, failures }
}

async function tryOne(target: Target, input: Uint8Array): Promise<{ way: string; failure?: string }> {
  const before = process.cpuUsage()
  let way = 'taken'
  let failure: string | undefined
  try {
    const result = await target.run(input.slice())
    way = shapeOf(result, 3)
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string }
    way = `${name} ${code ?? ''} ${String(message).replace(/\d+/g, 'n').slice(0, 60)}`
    if (!target.refuses || !(error instanceof target.refuses))
      failure = error instanceof Error ? (error.stack ?? String(error)) : `threw ${String(error)}`
  }
  const { user } = process.cpuUsage(before)
  if (user / 1000 > mostCpuMs) failure ??= `took ${Math.round(user / 1000)} ms`
  return failure === undefined ? { way } : { way, failure }
}

/** Roughly what a result looks like: inputs that give another one are worth changing further. */
function shapeOf(value: unknown, depth: number): string {
  if (typeof value !== 'object' || value === null) return typeof value
  if (value instanceof Uint8Array) return 'bytes'
  const inner = Object.entries(value instanceof Map ? Object.fromEntries(value) : value).slice(0, 8)
  if (depth === 0) return `${Math.min(inner.length, 3)}`
  return `{${inner.map(([key, each]) => `${Array.isArray(value) ? '' : key.slice(0, 12)}:${shapeOf(each, depth - 1)}`)}}`
}

function mutated(pool: readonly Uint8Array[], random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit)
  let bytes = Buffer.from(pool[below(pool.length)] ?? new Uint8Array())
  for (let change = 0; change < 1 + below(4); change++) {
    const at = below(bytes.length + 1)
    const length = 1 + below(Math.min(64, bytes.length + 1))
    switch (below(8)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << below(8)
        break
      case 1:
        if (at < bytes.length) bytes[at] = telling[below(telling.length)]!
        break
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 3: // once more, up to many times: nesting and repetition
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          ...Array.from({ length: 2 ** below(9) }, () => bytes.subarray(at, at + length)),
          bytes.subarray(at),
        ])
        break
      case 4:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(Array.from({ length }, () => below(256))),
          bytes.subarray(at),
        ])
        break
      case 5: {
        const other = pool[below(pool.length)] ?? new Uint8Array()
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(other).subarray(below(other.length + 1))])
        break
      }
      case 6:
        bytes = Buffer.from(bytes.subarray(0, at))
        break
      default: // a length or count that lies
        if (at + 4 <= bytes.length) bytes.writeUInt32BE([0, 1, 0x7fffffff, 0xffffffff, bytes.length][below(5)]!, at)
    }
    if (bytes.length > longest) bytes = Buffer.from(bytes.subarray(0, longest))
  }
  return new Uint8Array(bytes)
}

/** Numbers from 0 to 1 that follow from a seed (xorshift). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2 ** 32
  }
}
