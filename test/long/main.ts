// npm run test:long: what takes too long for every change. Everything is bounded and says how far it is.
import { parseArgs } from 'node:util'
import { endWithParent } from '../../scripts/support/end-with-parent.ts'
import { runOrdeal } from '../support/ordeal.ts'
import { findPostgres } from '../support/postgres.ts'

const help = `npm run test:long -- [options]

Kills the service at random moments while numbered messages go each way through conversations and groups, on the embedded
database and on PostgreSQL (whose connection is cut too), with a homeserver in memory that goes away and loses answers.
At the end each message has arrived once and in order, everything was decrypted, no key was used twice, nothing waits.

  --kills N           on each database (50)
  --conversations N   (10)
  --groups N          (3)
  --messages N        that each writes into each room at least (100)
  --database NAME     pglite or postgres; both when not given
  --seed N            chooses the same moments and faults again
  --help              this text`

endWithParent()
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    conversations: { type: 'string', default: '10' },
    groups: { type: 'string', default: '3' },
    messages: { type: 'string', default: '100' },
    database: { type: 'string' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}
const print = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)}  ${line}`)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const databases = (['pglite', 'postgres'] as const).filter((kind) => {
  if (values.database !== undefined && values.database !== kind) return false
  if (kind === 'pglite' || findPostgres() !== undefined) return true
  print('PostgreSQL is not installed: left out')
  return false
})
let failed = false
for (const database of databases) {
  print(`${database}: begins, seed ${seed}`)
  try {
    const { messages } = await runOrdeal({
      kills: Number(values.kills),
      conversations: Number(values.conversations),
      groups: Number(values.groups),
      messagesEach: Number(values.messages),
      ...{ database, seed, print: (line) => print(`${database}: ${line}`) },
    })
    print(`${database}: ${messages} messages, each once and in order, no key used twice`)
  } catch (error) {
    failed = true
    print(`${database}: FAILED with seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
process.exit(failed ? 1 : 0)
