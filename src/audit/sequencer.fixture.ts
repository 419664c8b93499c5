/**
 * A process of its own for sequencer.kills.test.ts: acts and records it, puts the log together, and at the given step dies,
 * or stops until it is continued. Says on stdout which actions the database has acknowledged, every checkpoint that it
 * signs before anybody else can have it, and that it has stopped. It ends when its standard input does.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DatabaseSettings, isStoreError, openDatabase } from '../store/index.ts'
import { testSigner } from './testing/log.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

interface Life {
  readonly database: DatabaseSettings
  readonly folder: string
  /** Names its actions. */
  readonly name: string
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
  readonly at?: string
  /** At which coming to that step. */
  readonly time?: number
  /** Actions after which it ends; without, when it is told to. */
  readonly actions?: number
  readonly leaseMs: number
}

const life = JSON.parse(process.argv[2]!) as Life
let ended = false
if (life.actions === undefined) process.stdin.on('end', () => (ended = true)).resume()
const say = (kind: string, what = '') => writeSync(1, `${kind} ${what}\n`)

const database = await openDatabase(life.database)
await database.query('create table if not exists action (name text primary key)')
const audit = testAudit()
let left = life.time ?? 1
const { sequencer } = testSequencer(database, life.folder, {
  leaseMs: life.leaseMs,
  owner: life.name,
  signer: {
    verifier: testSigner.verifier,
    sign(text) {
      say('signed', Buffer.from(text).toString('base64'))
      return testSigner.sign(text)
    },
  },
  async steps(step) {
    if (step !== life.at || --left !== 0) return
    if (life.signal === 'SIGSTOP') say('stopped')
    process.kill(process.pid, life.signal)
    if (life.signal === 'SIGKILL') await new Promise(() => {})
  },
})
for (let i = 0; !ended && i < (life.actions ?? Number.POSITIVE_INFINITY); i++) {
  const name = `${life.name}-${i}`
  const done = await database
    .transaction(async (tx) => {
      await tx.query('insert into action (name) values ($1)', [name])
      await audit.append(tx, anEvent(name))
      return true
    })
    .catch((error) => {
      // The server has ended the session of a process that was stopped.
      if (!isStoreError(error, 'unavailable')) throw error
      return false
    })
  if (done) say('acted', name)
  await sleep(1)
}
await sequencer.close()
await database.close()
