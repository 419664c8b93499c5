// A rolling restart on PostgreSQL: the program of before goes on writing while the new one brings the schema up to date.
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Database, isStoreError } from '../src/store/index.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { findPostgres, type PostgresServer, startPostgres } from './support/postgres.ts'
import { until } from './support/until.ts'

/** The last migration of the schema with which the first message crossed. What is applied is never changed. */
const tagged = '0008-audit.sql'
const migrations = new URL('../src/store/migrations/', import.meta.url)

describe('an upgrade under load', { skip: findPostgres() === undefined && 'PostgreSQL is not installed' }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-upgrade-'))
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(async () => {
    await server?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  const folder = (upTo: string, more: Record<string, string> = {}): URL => {
    const path = mkdtempSync(join(home, 'm-'))
    for (const name of readdirSync(migrations))
      if (name <= upTo) copyFileSync(fileURLToPath(new URL(name, migrations)), join(path, name))
    for (const [name, text] of Object.entries(more)) writeFileSync(join(path, name), text)
    return pathToFileURL(`${path}/`)
  }
  const rows = async (database: Database) =>
    (await database.query<{ count: number }>('select count(*) as count from device_state'))[0]!.count
  const namesIn = async (database: Database) =>
    (await database.query<{ name: string }>('select name from schema_migration order by name')).map(({ name }) => name)

  /** Writes as a device of the edge does until it is told to end. @returns how often it has written */
  const work = (database: Database) => {
    let ended = false
    let written = 0
    const run = async () => {
      for (; !ended; written++) {
        await database.transaction(async (tx) => {
          await tx.query('select 1 from lease where name = $1 for share', ['nobody'])
          await tx.query('insert into device_state (namespace, collection, key, value) values ($1, $2, $3, $4)', [
            'matrix/upgrade',
            'room',
            String(written),
            new Uint8Array(500),
          ])
          await tx.query('select id from portal where account = $1', ['nobody'])
          await tx.query('select no from hub.room where id = $1 for update', ['nothing'])
        })
      }
    }
    const running = run()
    return {
      written: () => written,
      async end() {
        ended = true
        await running
        return written
      },
    }
  }

  it('loses no write of the program before, and both see everything', async () => {
    const old = await openPostgres(server.url, { migrations: folder(tagged) })
    const writer = work(old)
    await until('the first writes', () => writer.written() > 20)
    const before = writer.written()
    const fresh = await openPostgres(server.url, {})
    await until('writes after the upgrade', () => writer.written() > before + 20)
    const written = await writer.end()
    assert.equal(await rows(fresh), written)
    assert.equal(await rows(old), written)
    assert.equal((await namesIn(fresh)).length, readdirSync(migrations).length)
    await old.close()
    await fresh.close()
  })

  it('that fails leaves the schema as it was, and the program before at work', async () => {
    const old = await openPostgres(server.url, {})
    const names = await namesIn(old)
    await old.query('delete from device_state')
    const writer = work(old)
    await until('the first writes', () => writer.written() > 20)
    const bad = 'alter table device_state add column half int8; create table device_state (n int8);'
    const migrations = folder('9998', { '9999-bad.sql': bad })
    await assert.rejects(openPostgres(server.url, { migrations }), (error) => isStoreError(error, 'migration'))
    const before = writer.written()
    await until('writes after the failure', () => writer.written() > before + 20)
    const written = await writer.end()
    assert.equal(await rows(old), written)
    assert.deepEqual(await namesIn(old), names)
    await old.close()
  })
})
