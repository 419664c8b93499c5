/**
 * A process of its own for embedded.test.ts: opens the directory, writes rows for ever, and says on stdout what the
 * database has acknowledged. Each transaction writes a row and its twin, so that half a transaction can be seen.
 */
import { writeSync } from 'node:fs'
import { openDatabase } from './index.ts'

const [directory] = process.argv.slice(2)
const db = await openDatabase({ directory })
await db.query('create table if not exists written (id int8 primary key, filler text)')
await db.query('create table if not exists twin (id int8 primary key references written (id))')
const [row] = await db.query<{ last: number }>('select coalesce(max(id), 0) as last from written')
writeSync(1, 'ready\n')
for (let id = row!.last + 1; ; id++) {
  await db.transaction(async (tx) => {
    await tx.query('insert into written values ($1, $2)', [id, 'x'.repeat(300)])
    await tx.query('insert into twin values ($1)', [id])
  })
  writeSync(1, `${id}\n`)
}
