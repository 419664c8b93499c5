/**
 * A process of its own for sequencer.kills.test.ts: acts and records it, puts the log together, and dies at the given step.
 * Says on stdout which actions the database has acknowledged.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../store/index.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

const [directory, folder, dieAt, after] = process.argv.slice(2) as [string, string, string, string]
const database = await openDatabase({ directory })
await database.query('create table if not exists action (name text primary key)')
const audit = testAudit()
let left = Number(after)
const { sequencer } = testSequencer(database, folder, {
  leaseMs: 50,
  steps(step) {
    if (step !== dieAt || --left > 0) return
    process.kill(process.pid, 'SIGKILL')
    return new Promise(() => {})
  },
})
for (let i = 0; i < 120 || dieAt !== 'never'; i++) {
  const name = `${dieAt}-${process.pid}-${i}`
  await database.transaction(async (tx) => {
    await tx.query('insert into action (name) values ($1)', [name])
    await audit.append(tx, anEvent(name))
  })
  writeSync(1, `${name}\n`)
  await sleep(1)
}
await sequencer.close()
await database.close()
