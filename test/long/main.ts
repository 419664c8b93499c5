// npm run test:long: what takes too long for every change. Everything is bounded and says how far it is.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { endWithParent } from '../../scripts/support/end-with-parent.ts'
import { runOrdeal } from '../support/ordeal/index.ts'
import type { WorldOptions } from '../support/ordeal/world.ts'
import { findPostgres } from '../support/postgres.ts'
import { smallDisk } from '../support/small-disk.ts'
import { synapseMissing } from '../support/synapse.ts'
import { firstVersionMissing, upgradeFromFirst } from './upgrade.ts'

const help = `npm run test:long -- [options]

Kills the service at random moments while numbered messages go each way through conversations and groups. In between the
homeserver is killed, stops answering or loses answers, the database's connections are cut, and its disk is full. At the end
each message has arrived once and in order, everything was decrypted, no key was used twice, nothing waits.

One after the other, unless one is chosen:
  pglite           the embedded database, a homeserver in memory
  postgres         PostgreSQL, a homeserver in memory
  pglite-disk      the embedded database on a disk that is full now and then (needs the right to mount)
  postgres-disk    the same with PostgreSQL
  synapse          the embedded database, a real homeserver; a share of it, since that takes longer
  upgrade          a rolling restart from the version with which the first message crossed, under load (PostgreSQL; needs
                   this repository's history)

  --only NAME         one of these
  --kills N           in each of them (100; a fifth on a disk of its own and with Synapse)
  --conversations N   (10)
  --groups N          (3)
  --messages N        that each writes into each room (200; half of them where there are fewer kills)
  --seed N            chooses the same moments and faults again
  --help              this text`

endWithParent()
// Each start of the service loads the same modules: they are compiled once.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../../.cache/compiled', import.meta.url))
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    kills: { type: 'string', default: '100' },
    conversations: { type: 'string', default: '10' },
    groups: { type: 'string', default: '3' },
    messages: { type: 'string', default: '200' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}

interface Ordeal extends Pick<WorldOptions, 'database' | 'homeserver' | 'smallDisk'> {
  /** Of the kills that were asked for. */
  readonly share: number
  /** Of the messages. */
  readonly messages?: number
}
const ordeals: Readonly<Record<string, Ordeal>> = {
  pglite: { database: 'pglite', homeserver: 'stub', share: 1 },
  postgres: { database: 'postgres', homeserver: 'stub', share: 1 },
  'pglite-disk': { database: 'pglite', homeserver: 'stub', smallDisk: true, share: 0.2, messages: 0.5 },
  'postgres-disk': { database: 'postgres', homeserver: 'stub', smallDisk: true, share: 0.2, messages: 0.5 },
  synapse: { database: 'pglite', homeserver: 'synapse', share: 0.2, messages: 0.5 },
}
const print = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)}  ${line}`)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
if (values.only !== undefined && values.only !== 'upgrade' && !Object.hasOwn(ordeals, values.only)) {
  console.error(`there is no ${values.only}; npm run test:long -- --help names what there is`)
  process.exit(2)
}

/** Why one cannot run here; undefined: it can. */
async function missing({ database, homeserver, smallDisk: disk }: Ordeal): Promise<string | undefined> {
  if (database === 'postgres' && findPostgres() === undefined) return 'PostgreSQL is not installed'
  if (homeserver === 'synapse') return (await synapseMissing()) || undefined
  if (!disk) return undefined
  const tried = smallDisk(1)
  tried?.remove()
  return tried ? undefined : 'no disk can be mounted here'
}

let failed = false
for (const [name, { share, messages: part = 1, ...where }] of Object.entries(ordeals)) {
  if (values.only !== undefined && values.only !== name) continue
  const reason = await missing({ share, ...where })
  if (reason !== undefined) {
    print(`${name}: left out, ${reason}`)
    failed ||= values.only !== undefined
    continue
  }
  print(`${name}: begins, seed ${seed}`)
  try {
    const begun = Date.now()
    const { kills, messages, faults } = await runOrdeal({
      kills: Math.ceil(Number(values.kills) * share),
      conversations: Number(values.conversations),
      groups: Number(values.groups),
      messagesEach: Math.ceil(Number(values.messages) * part),
      seed,
      print: (line) => print(`${name}: ${line}`),
      ...where,
    })
    print(`${name}: ${[...faults].map(([fault, times]) => `${times} × ${fault}`).join(', ')}`)
    const minutes = Math.round((Date.now() - begun) / 60_000)
    print(
      `${name}: ${kills} kills, ${messages} messages, ${minutes} minutes; each arrived once and in order, no key used twice`,
    )
  } catch (error) {
    failed = true
    print(`${name}: FAILED with seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

if (values.only === undefined || values.only === 'upgrade') {
  const reason = findPostgres() === undefined ? 'PostgreSQL is not installed' : firstVersionMissing()
  if (reason !== undefined) {
    print(`upgrade: left out, ${reason}`)
    failed ||= values.only !== undefined
  } else {
    try {
      await upgradeFromFirst((line) => print(`upgrade: ${line}`))
      print('upgrade: every message once and in order')
    } catch (error) {
      failed = true
      print(`upgrade: FAILED: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
process.exit(failed ? 1 : 0)
