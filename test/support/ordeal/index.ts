/**
 * Numbered messages go each way through conversations and groups while the service is killed, its homeserver goes away,
 * stops answering or loses answers, its database's connections are cut, and its disk is full. At the end each has arrived
 * once and in order, everything was decrypted, no key was used twice, and nothing waits anywhere.
 */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { audit, missing, settled } from './audit.ts'
import { disturb } from './faults.ts'
import { type Lane, openWorld, type World, type WorldOptions } from './world.ts'

export interface OrdealOptions extends WorldOptions {
  /** How often the service is killed at least; other faults come in between. */
  readonly kills: number
  /** What each writes into each of their rooms, spread over the kills: so there is an end to what has to arrive. */
  readonly messagesEach: number
  /** Chooses moments and faults; the same number chooses the same. */
  readonly seed: number
  readonly print: (line: string) => void
}

export interface OrdealResult {
  readonly kills: number
  readonly messages: number
  /** How often each befell it. */
  readonly faults: ReadonlyMap<string, number>
}

/** How often it says how far it is, ms. */
const reportMs = 60_000

/** The whole of it. Fails with what did not hold. */
export async function runOrdeal(options: OrdealOptions): Promise<OrdealResult> {
  const { print, kills, messagesEach } = options
  const random = randomOf(options.seed)
  const faults = new Map<string, number>()
  await using world = await openWorld(options)
  print(`${world.lanes.length} lanes are open; ${kills} kills follow`)
  let killed = 0
  const ended = new AbortController()
  const written = () => Math.min(1, (killed + 1) / kills)
  const talking = world.lanes.map((lane) => talk(lane, messagesEach, written, random, ended.signal))
  // What a lane cannot say ends the ordeal at its end; until then nobody waits for it.
  for (const lane of talking) lane.catch(() => {})
  const report = setInterval(() => print(`${killed} of ${kills} kills, ${progressOf(world)}`), reportMs)
  try {
    while (killed < kills) {
      await untilNext(world, random)
      const { name, kills: more } = await disturb(world, random)
      faults.set(name, (faults.get(name) ?? 0) + 1)
      killed += more
    }
    await Promise.all(talking)
    print(`${killed} kills are over, the rest arrives: ${progressOf(world)}`)
    await settled(world)
    print(`all has arrived and is looked at: ${progressOf(world)}`)
    await audit(world)
  } catch (error) {
    const file = join(tmpdir(), `silta-ordeal-${options.seed}.log`)
    writeFileSync(file, world.service.output)
    print(`what the service said is in ${file}`)
    throw error
  } finally {
    ended.abort()
    clearInterval(report)
  }
  return { kills: killed, messages: sentIn(world), faults }
}

const sentIn = ({ lanes }: World) => lanes.reduce((sum, { sent }) => sum + sent, 0)

function progressOf(world: World): string {
  const waiting = missing(world).sort((one, other) => other.count - one.count)
  const [most] = waiting
  const wait = waiting.reduce((sum, { count }) => sum + count, 0)
  const behind = most === undefined ? '' : `, most of ${most.lane} at ${most.reader} (${most.count})`
  return `${sentIn(world)} messages written, ${wait} wait for a reader${behind}`
}

/** Longest wait for something to arrive before the next fault, ms: a lease that a killed process has left, on a busy machine. */
const longestPauseMs = 60_000

/**
 * Mostly the next fault comes at once, and meets what the last one has left. Otherwise something arrives first, so that
 * work is met too, and not starts alone.
 */
async function untilNext(world: World, random: () => number): Promise<void> {
  await sleep(30 + random() * 400)
  if (random() < 0.5) return
  const waiting = () => missing(world).reduce((sum, { count }) => sum + count, 0)
  const until = Date.now() + longestPauseMs
  for (let least = waiting(); least > 0 && Date.now() < until; ) {
    await sleep(20)
    const now = waiting()
    if (now < least) break
    least = now
  }
  await sleep(random() * 1_500)
}

/** Messages that one writes in a row at most: a fault meets batches and single ones. */
const burstMost = 12

/**
 * Writes so many messages into a lane, in bursts.
 * @param share of them that may be written by now, 0 to 1
 */
async function talk(
  lane: Lane,
  messages: number,
  share: () => number,
  random: () => number,
  ended: AbortSignal,
): Promise<void> {
  while (lane.sent < messages && !ended.aborted) {
    if (lane.sent >= share() * messages) {
      await sleep(200 * random())
      continue
    }
    for (let left = 1 + Math.floor(burstMost * random() ** 2); left > 0 && lane.sent < messages; left--) {
      await lane.say(`${lane.name} ${++lane.sent}`)
      await sleep(random() < 0.8 ? 5 : 200 * random())
    }
  }
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
