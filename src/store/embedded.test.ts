import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, fdatasyncSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { acquireLease, assertFence, isStoreError, openDatabase } from './index.ts'
import { lockDirectory } from './lock.ts'
import { openPglite } from './pglite.ts'
import { emptyPglite } from './testing.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-store-'))
after(() => rmSync(home, { recursive: true, force: true }))
const folder = (name: string) => join(home, name)
const openFolder = async (name: string) => openPglite(folder(name), { template: await emptyPglite() })

interface Writer {
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly acknowledged: number[]
  readonly gone: Promise<void>
}

function startWriter(directory: string): Writer {
  const program = fileURLToPath(new URL('./embedded.fixture.ts', import.meta.url))
  const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: number[] = []
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const ready = new Promise<void>((resolve, reject) => {
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) line === 'ready' ? resolve() : acknowledged.push(Number(line))
    })
    void gone.then(() => reject(new Error('the writer ended before it was ready')))
  })
  return { child, ready, acknowledged, gone }
}

test('nothing acknowledged is lost and nothing is half done after kill -9, again and again', async () => {
  const directory = folder('killed')
  await (await openFolder('killed')).close()
  const acknowledged: number[] = []
  for (const rowsBeforeKill of [2, 10, 40]) {
    const writer = startWriter(directory)
    await writer.ready
    while (writer.acknowledged.length < rowsBeforeKill) await new Promise((resolve) => setTimeout(resolve, 1))
    writer.child.kill('SIGKILL')
    await writer.gone
    acknowledged.push(...writer.acknowledged)
    const db = await openDatabase({ directory })
    const rows = await db.query<{ id: number; twin: number | null }>(
      'select w.id, t.id as twin from written w left join twin t on t.id = w.id order by w.id',
    )
    await db.close()
    const present = new Set(rows.map((row) => row.id))
    assert.deepEqual(
      acknowledged.filter((id) => !present.has(id)),
      [],
      'an acknowledged row is missing',
    )
    assert.deepEqual(
      rows.filter((row) => row.twin === null),
      [],
      'half a transaction is there',
    )
  }
  assert.ok(acknowledged.length >= 52)
})

test('every commit is forced to disk before it is acknowledged', async () => {
  const db = await openFolder('synced')
  await db.query('create table item (id int8)')
  for (let id = 0; id < 20; id++) {
    const before = db.syncs()
    await db.transaction((tx) => tx.query('insert into item values ($1)', [id]))
    assert.ok(db.syncs() > before, 'a transaction was acknowledged without fsync')
  }
  const before = db.syncs()
  await db.query('insert into item values (99)')
  assert.ok(db.syncs() > before, 'a single statement was acknowledged without fsync')
  assert.deepEqual(await db.query("select current_setting('fsync') as fsync"), [{ fsync: 'on' }])
  await db.close()
})

test('once the disk did not take what was written, nothing is acknowledged any more', async () => {
  let broken = false
  const faults: unknown[] = []
  const syncFile = (descriptor: number) => {
    if (broken) throw Object.assign(new Error('of the disk'), { code: 'EIO' })
    fdatasyncSync(descriptor)
  }
  const db = await openPglite(folder('broken'), {
    template: await emptyPglite(),
    syncFile,
    onFault: (fault) => faults.push(fault),
  })
  await db.query('create table item (id int8)')
  broken = true
  const refused = (error: unknown) => isStoreError(error, 'disk') && /EIO/.test(error.message)
  await assert.rejects(
    db.transaction((tx) => tx.query('insert into item values (1)')),
    refused,
  )
  broken = false
  await assert.rejects(db.query('insert into item values (2)'), refused)
  assert.deepEqual(faults.length, 1)
  await db.close().catch(() => undefined)
})

test('what was replaced is cleared away, the log is cut off, and the planner knows how large a table is', async () => {
  const upkeep = { every: 50, changedRows: 20, changedShare: 0.2, logBytes: 1_000_000, freezeAfter: 300 }
  const db = await openPglite(folder('kept up'), { template: await emptyPglite(), upkeep })
  await db.query('create table item (id int8 primary key, body bytea)')
  const look = async () =>
    (
      await db.query<{ age: number; log: number; unchecked: number; size: number; rows: number }>(
        `select (select max(age(datfrozenxid)) from pg_database where datname = current_database()) as age,
                pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8 as log,
                pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::int8 as unchecked,
                pg_total_relation_size('item') as size, c.reltuples::int8 as rows
           from pg_control_checkpoint(), pg_class c where c.relname = 'item'`,
      )
    )[0]!
  const begun = await look()
  const write = 'insert into item values ($1, $2) on conflict (id) do update set body = excluded.body'
  for (let time = 0; time < 400; time++) await db.query(write, [time % 10, randomBytes(10_000)])
  const ended = await look()
  await db.close()
  assert.ok(ended.log - begun.log > 4_000_000, `${ended.log - begun.log} bytes of log`)
  assert.ok(ended.unchecked < 2_500_000, `${ended.unchecked} bytes of log since the checkpoint`)
  assert.ok(ended.size < 2_000_000, `${ended.size} bytes for ten rows of ten thousand`)
  assert.equal(ended.rows, 10)
  assert.ok(ended.age < 400, `${ended.age} transactions since the oldest that a row names`)
})

test('a second process is refused with a clear error while the first lives, and let in after it was killed', async () => {
  await (await openFolder('locked')).close()
  const writer = startWriter(folder('locked'))
  await writer.ready
  await assert.rejects(openDatabase({ directory: folder('locked') }), (error) => {
    assert.ok(isStoreError(error, 'locked'))
    assert.match(error.message, /in use by another process/)
    return true
  })
  writer.child.kill('SIGKILL')
  await writer.gone
  await (await openDatabase({ directory: folder('locked') })).close()
})

test('one process cannot open a directory twice either', async () => {
  const db = await openFolder('twice')
  assert.throws(
    () => lockDirectory(folder('twice'), 50),
    (error) => isStoreError(error, 'locked'),
  )
  await db.close()
  await (await openFolder('twice')).close()
})

test('a first start that was cut short leaves nothing that a second one stumbles over', async () => {
  mkdirSync(join(folder('cut'), 'pg.new', 'base'), { recursive: true })
  writeFileSync(join(folder('cut'), 'pg.new', 'PG_VERSION'), '18\n')
  const db = await openFolder('cut')
  assert.deepEqual(await db.query('select 1 as one'), [{ one: 1 }])
  await db.close()
  assert.equal(existsSync(join(folder('cut'), 'pg.new')), false)
})

test('leases of a former life are free at once, and their fences stay below new ones', async () => {
  const before = await openFolder('leases')
  const old = await acquireLease(before, { name: 'w', owner: 'former life', ttlMs: 3_600_000 })
  await before.close()
  const db = await openFolder('leases')
  const lease = await acquireLease(db, { name: 'w', owner: 'this life', ttlMs: 60_000 })
  assert.ok(old && lease && lease.fence > old.fence)
  await assert.rejects(
    db.transaction((tx) => assertFence(tx, 'w', old.fence)),
    (error) => isStoreError(error, 'lease-lost'),
  )
  await db.close()
})

test('only its owner can read the directory', async () => {
  const db = await openFolder('private')
  const { statSync } = await import('node:fs')
  assert.equal(statSync(folder('private')).mode & 0o077, 0)
  assert.ok(readdirSync(folder('private')).includes('pg'))
  await db.close()
})
