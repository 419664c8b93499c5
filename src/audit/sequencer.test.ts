import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromUtf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import type { Database } from '../store/index.ts'
import { onBothDialects } from '../store/testing.ts'
import { noteSigner, verifyLog } from './log/index.ts'
import { readLogAt } from './place.ts'
import type { AuditStep } from './sequence.ts'
import { testSigner } from './testing/log.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-sequencer-'))
after(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
const newFolder = () => join(home, `log-${++folders}`)
const audit = testAudit()
let named = 0

async function add(database: Database, count: number): Promise<void> {
  await database.transaction(async (tx) => {
    for (let i = 0; i < count; i++) await audit.append(tx, anEvent(`name${++named % 20}`))
  })
}

async function run(database: Database, folder: string): Promise<string[]> {
  const { sequencer, faults } = testSequencer(database, folder)
  await sequencer.close()
  return faults
}

async function verified(folder: string, earlier?: Uint8Array): Promise<string[]> {
  const entries: string[] = []
  const read = readLogAt(folder)
  const onEntry = (entry: Uint8Array) => void entries.push(fromUtf8(entry))
  await verifyLog(crypto, { read, verifier: testSigner.verifier, earlier, onEntry })
  return entries
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await sleep(10)) assert.ok(Date.now() < end, 'never')
}

const checkpointOf = (folder: string) => new Uint8Array(readFileSync(join(folder, 'checkpoint')))

/** What a backup holds of the log's tables, and the way back to it. */
async function backup(database: Database) {
  const [entries, logs] = [
    await database.query<{ id: string; at: number; body: Uint8Array; place: number | null }>(
      'select id, at, body, place from audit.entry order by no',
    ),
    await database.query<{ origin: string; size: number; signed_size: number | null; checkpoint: Uint8Array | null }>(
      'select * from audit.log',
    ),
  ]
  return () =>
    database.transaction(async (tx) => {
      await tx.query('delete from audit.entry')
      await tx.query('delete from audit.log')
      for (const { id, at, body, place } of entries)
        await tx.query('insert into audit.entry (id, at, body, place) values ($1, $2, $3, $4)', [id, at, body, place])
      for (const { origin, size, signed_size, checkpoint } of logs)
        await tx.query('insert into audit.log (origin, size, signed_size, checkpoint) values ($1, $2, $3, $4)', [
          ...[origin, size, signed_size, checkpoint],
        ])
    })
}

onBothDialects('the sequencer', (open) => {
  test('puts entries into the log in order, while more come', async () => {
    await using database = await open()
    const folder = newFolder()
    const { sequencer, faults } = testSequencer(database, folder, { everyMs: 500 })
    await sleep(50)
    await add(database, 3)
    await until(async () => (await verified(folder).catch(() => [])).length === 3)
    await add(database, 520)
    await sequencer.close()
    const bodies = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
    assert.deepEqual(
      await verified(folder),
      bodies.map(({ body }) => fromUtf8(body)),
    )
    assert.deepEqual(faults, [])
    // Partial tiles are gone where there is a full one.
    assert.deepEqual(readdirSync(join(folder, 'tile/entries')).sort(), ['000', '001', '002.p'])
  })

  test('continues its log after each start, in batches of any size', async () => {
    await using database = await open()
    const folder = newFolder()
    let earlier: Uint8Array | undefined
    for (const count of [0, 1, 254, 1, 1, 300, 0]) {
      await add(database, count)
      const { sequencer, faults } = testSequencer(database, folder, { batch: 100 })
      await sequencer.close()
      assert.deepEqual(faults, [])
      await verified(folder, earlier)
      earlier = checkpointOf(folder)
    }
    assert.equal((await verified(folder)).length, 557)
  })

  test('signs nothing any more when it was paused past its lease', async () => {
    // None of them lies inside of a transaction: the others go on with the database, an embedded one too.
    const pauses = ['audit.placed', 'audit.tiles-written', 'audit.checkpoint-staged', 'audit.checkpoint-published']
    for (const step of pauses satisfies string[] as AuditStep[]) {
      await using database = await open()
      const folder = newFolder()
      await add(database, 10)
      await run(database, folder)
      await add(database, 5)
      const paused = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      let once = true
      const first = testSequencer(database, folder, {
        leaseMs: 30,
        async steps(at) {
          if (at !== step || !once) return
          once = false
          paused.resolve()
          await goOn.promise
        },
      })
      await paused.promise
      await add(database, 7)
      await sleep(40)
      // Another takes its place and goes further.
      const second = testSequencer(database, folder)
      await until(async () => (await verified(folder)).length === 22)
      const earlier = checkpointOf(folder)
      goOn.resolve()
      await first.sequencer.close()
      assert.deepEqual(checkpointOf(folder), earlier)
      await second.sequencer.close()
      assert.deepEqual([...first.faults, ...second.faults], [])
      assert.equal((await verified(folder, earlier)).length, 22)
    }
  })

  test('several at once make one log', async () => {
    await using database = await open()
    const folder = newFolder()
    const many = [1, 2, 3].map(() => testSequencer(database, folder, { leaseMs: 15 }))
    for (let i = 0; i < 20; i++) {
      await add(database, 15)
      await sleep(5)
    }
    for (const { sequencer } of many) await sequencer.close()
    assert.equal((await verified(folder)).length, 300)
    assert.deepEqual(
      many.flatMap(({ faults }) => faults),
      [],
    )
  })

  test('takes up its published log after the database was restored from a backup', async () => {
    await using database = await open()
    const folder = newFolder()
    await add(database, 300)
    await run(database, folder)
    // In the backup, these wait; in the published log they have their places.
    await add(database, 20)
    const restore = await backup(database)
    await add(database, 400)
    await run(database, folder)
    const before = await verified(folder)
    const earlier = checkpointOf(folder)
    await restore()
    await add(database, 2)
    assert.deepEqual(await run(database, folder), [])
    const entries = await verified(folder, earlier)
    assert.deepEqual(entries.slice(0, before.length), before)
    assert.equal(entries.length, before.length + 3)
    assert.match(entries.at(-1)!, /"entries":400.*"type":"log.taken-up"/)
    const [rows] = await database.query<{ count: number }>('select count(place)::int4 as count from audit.entry')
    assert.equal(rows!.count, entries.length)
  })

  test('refuses to go on, and says why, when what is published does not verify', async () => {
    await using database = await open()
    const folder = newFolder()
    await add(database, 300)
    await run(database, folder)
    const old = newFolder()
    cpSync(folder, old, { recursive: true })
    await add(database, 10)
    await run(database, folder)
    await add(database, 10)
    const refused = async (place: string, more = {}) => {
      const { sequencer } = testSequencer(database, place, more)
      await sequencer.close()
      return sequencer.refused?.code
    }
    const spoiled = (path: string, bytes: (before: Uint8Array) => Uint8Array) => {
      const place = newFolder()
      cpSync(folder, place, { recursive: true })
      writeFileSync(join(place, path), bytes(new Uint8Array(readFileSync(join(place, path)))))
      return place
    }
    const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte))
    assert.equal(await refused(newFolder()), 'published-missing')
    assert.equal(await refused(old), 'published-behind')
    assert.equal(await refused(spoiled('checkpoint', flip)), 'checkpoint-invalid')
    assert.equal(await refused(spoiled('tile/0/001.p/54', flip)), 'fork')
    const stranger = noteSigner(crypto, testSigner.verifier.name, crypto.randomBytes(32))
    assert.equal(await refused(folder, { signer: stranger }), 'checkpoint-invalid')
    const tampered = spoiled('checkpoint', (bytes) => bytes)
    writeFileSync(join(tampered, 'tile/0/001.p/64'), new Uint8Array(64 * 32))
    assert.equal(await refused(tampered), 'tile-differs')
    assert.equal((await verified(folder)).length, 310)
    // Only the checkpoint is an older one: the newer, which was signed, comes back.
    writeFileSync(join(folder, 'checkpoint'), checkpointOf(old))
    assert.equal(await refused(folder), undefined)
    assert.equal((await verified(folder)).length, 320)
  })

  test('refuses a database that has gone another way than the published log', async () => {
    await using database = await open()
    const folder = newFolder()
    await add(database, 30)
    const restore = await backup(database)
    await run(database, folder)
    await restore()
    const [gone] = await database.query<{ id: string }>('select id from audit.entry order by no limit 1')
    await database.query('update audit.entry set place = 5, body = $2 where id = $1', [gone!.id, new Uint8Array(3)])
    const { sequencer } = testSequencer(database, folder)
    await sequencer.close()
    assert.equal(sequencer.refused?.code, 'fork')
    assert.equal((await verified(folder)).length, 30)
  })
})
