/** What happens to the service and around it while messages cross. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { World } from './world.ts'

interface Fault {
  readonly name: string
  /** How often it comes, beside the others. */
  readonly weight: number
  /** Kills of the service that it has. */
  readonly kills: number
  /** Whether it can happen here; always unless said otherwise. */
  readonly can?: (world: World) => boolean
  readonly befall: (world: World, random: () => number) => Promise<void>
}

const again = async ({ service }: World) => {
  await service.kill()
  await service.start()
}

const homeserverAway = async ({ homeserver }: World, ms: number) => {
  await homeserver.interrupt()
  await sleep(ms)
  await homeserver.resume()
}

const databaseAway = async ({ postgres }: World, ms: number) => {
  await postgres!.interrupt()
  await sleep(ms)
  await postgres!.resume()
}

/** A service that ends because of a full disk does so at once; nobody waits longer. */
const endMs = 3_000

const onPostgres = ({ postgres }: World) => postgres !== undefined

const faults: readonly Fault[] = [
  { name: 'killed', weight: 5, kills: 1, befall: again },
  {
    name: 'killed while it started',
    weight: 1,
    kills: 2,
    async befall({ service }, random) {
      await service.kill()
      const starting = service.start().catch(() => {})
      await sleep(1500 * random())
      await service.kill()
      await starting
      await service.start()
    },
  },
  {
    name: 'killed after answers were lost',
    weight: 2,
    kills: 1,
    can: ({ homeserver }) => homeserver.loseAnswers !== undefined,
    async befall(world, random) {
      world.homeserver.loseAnswers!(1 + Math.floor(3 * random()))
      await sleep(100 * random())
      await again(world)
    },
  },
  {
    name: 'killed with its homeserver',
    weight: 1,
    kills: 1,
    async befall(world, random) {
      await Promise.all([homeserverAway(world, 500 * random()), world.service.kill()])
      await world.service.start()
    },
  },
  {
    name: 'homeserver killed',
    weight: 1,
    kills: 0,
    befall: (world, random) => homeserverAway(world, 2000 * random()),
  },
  {
    name: 'homeserver stopped answering',
    weight: 1,
    kills: 0,
    can: ({ homeserver }) => homeserver.stall !== undefined,
    befall: ({ homeserver }, random) => homeserver.stall!(3000 * random()),
  },
  {
    name: 'ended in order',
    weight: 1,
    kills: 0,
    async befall({ service }) {
      await service.stop()
      await service.start()
    },
  },
  {
    name: 'database away',
    weight: 1,
    kills: 0,
    can: onPostgres,
    async befall(world, random) {
      await databaseAway(world, 1000 * random())
    },
  },
  {
    name: 'killed after the database was away',
    weight: 1,
    kills: 1,
    can: onPostgres,
    async befall(world, random) {
      await databaseAway(world, 300 * random())
      await sleep(300 * random())
      await again(world)
    },
  },
  {
    name: "database's connections cut",
    weight: 2,
    kills: 0,
    can: onPostgres,
    async befall({ postgres }, random) {
      for (let times = 1 + Math.floor(3 * random()); times > 0; times--) {
        await postgres!.cut()
        await sleep(100 * random())
      }
    },
  },
  {
    name: 'disk full',
    weight: 10,
    kills: 0,
    can: ({ disk }) => disk !== undefined,
    async befall({ disk, postgres, service }, random) {
      disk!.fill()
      await sleep(2000 * random())
      disk!.free()
      // A database ends when its log has no room, and a service whose disk did not take what was written; whoever runs
      // them starts them again.
      if (postgres && !postgres.running) await postgres.resume()
      await Promise.race([service.ended(), sleep(endMs)])
      if (!service.running) await service.start()
    },
  },
]

/** One of them. @returns what it was and how often the service was killed */
export async function disturb(world: World, random: () => number): Promise<{ name: string; kills: number }> {
  const possible = faults.filter(({ can }) => can?.(world) ?? true)
  const weighted = possible.flatMap((fault) => Array.from({ length: fault.weight }, () => fault))
  const fault = weighted[Math.floor(random() * weighted.length)]!
  await fault.befall(world, random)
  const { service } = world
  if (!service.running) assert.fail(`the service ended by itself: ${fault.name}\n${service.output.subarray(-4000)}`)
  return fault
}
