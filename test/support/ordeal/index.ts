/**
 * Numbered messages go each way through conversations and groups while the service is killed, its homeserver goes away,
 * stops answering or loses answers, its database's connections are cut, and its disk is full. At the end each has arrived
 * once and in order, everything was decrypted, no key was used twice, and nothing waits anywhere.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { audit, settled } from './audit.ts'
import { disturb } from './faults.ts'
import { type Lane, openWorld, type World, type WorldOptions } from './world.ts'

export interface OrdealOptions extends WorldOptions {
  /** How often the service is killed; other faults come in between. */
  readonly kills: number
  /** What each writes into each of their rooms at least. */
  readonly messagesEach: number
  /** Chooses moments and faults; the same number chooses the same. */
  readonly seed: number
  readonly print: (line: string) => void
}

/** The whole of it. Fails with what did not hold. @returns how many messages there were, and what befell them */
export async function runOrdeal(options: OrdealOptions): Promise<{ messages: number; faults: Map<string, number> }> {
  const { print, kills } = options
  const random = randomOf(options.seed)
  const faults = new Map<string, number>()
  await using world = await openWorld(options)
  print(`${world.lanes.length} lanes are open; ${kills} kills follow`)
  let killed = 0
  const talking = world.lanes.map((lane) => talk(lane, () => killed >= kills, options.messagesEach, random))
  // What a lane cannot say ends the ordeal at its end; until then nobody waits for it.
  for (const lane of talking) lane.catch(() => {})
  try {
    for (let said = 0; killed < kills; ) {
      await sleep(30 + random() * 400)
      const { name, kills: more } = await disturb(world, random)
      faults.set(name, (faults.get(name) ?? 0) + 1)
      killed += more
      if (killed < said + 10 && killed < kills) continue
      said = killed
      print(`kill ${killed} of ${kills} (${name}), ${sentIn(world)} messages so far`)
    }
  } finally {
    killed = kills
  }
  await Promise.all(talking)
  print(`${sentIn(world)} messages were sent; the rest arrives`)
  await settled(world)
  await audit(world)
  return { messages: sentIn(world), faults }
}

const sentIn = ({ lanes }: World) => lanes.reduce((sum, { sent }) => sum + sent, 0)

/** Of what a lane says while faults come: the rest follows slowly, or a slow machine would be busy with it for hours. */
const calmMs = 4_000

async function talk(lane: Lane, over: () => boolean, atLeast: number, random: () => number): Promise<void> {
  while (!over() || lane.sent < atLeast) {
    await lane.say(`${lane.name} ${++lane.sent}`)
    // Bursts and pauses, so that a fault meets batches and single messages.
    const pause = random() < 0.7 ? 5 : 200 * random()
    await sleep(lane.sent < atLeast ? pause : calmMs * random())
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
