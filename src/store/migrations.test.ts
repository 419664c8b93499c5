import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { isStoreError } from './index.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'
import { emptyPglite, freshPostgres, postgresMissing } from './testing.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-migrations-'))
after(() => rmSync(home, { recursive: true, force: true }))

const lease = 'create table lease (held_until int8);'

function folderWith(files: Record<string, string>): URL {
  const folder = mkdtempSync(join(home, 'm-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return pathToFileURL(`${folder}/`)
}

const open = async (directory: string, files: Record<string, string>) =>
  openPglite(directory, { template: await emptyPglite(), migrations: folderWith(files) })

const migrationError = (pattern: RegExp) => (error: unknown) =>
  isStoreError(error, 'migration') && pattern.test(error.message)

test('migrations are applied once, in order, and later ones when they come', async () => {
  const directory = join(home, 'order')
  const first = { '0001-a.sql': `${lease} create table step (n int8);`, '0002-b.sql': 'insert into step values (2);' }
  await (await open(directory, first)).close()
  const db = await open(directory, { ...first, '0010-c.sql': 'insert into step values (10);' })
  assert.deepEqual(await db.query('select n from step order by n'), [{ n: 2 }, { n: 10 }])
  assert.deepEqual(await db.query('select name, length(sha256) as length from schema_migration order by name'), [
    { name: '0001-a.sql', length: 64 },
    { name: '0002-b.sql', length: 64 },
    { name: '0010-c.sql', length: 64 },
  ])
  await db.close()
})

test('one that fails is undone as a whole and named; mended, it goes on from there', async () => {
  const directory = join(home, 'failing')
  const good = { '0001-a.sql': lease }
  const bad = { ...good, '0002-b.sql': 'create table half (n int8); create table half (n int8);' }
  await assert.rejects(open(directory, bad), migrationError(/0002-b\.sql failed: .*half/))
  const db = await open(directory, { ...good, '0002-b.sql': 'create table half (n int8);' })
  assert.deepEqual(await db.query('select n from half'), [])
  await db.close()
})

test('one that was changed after it was applied is refused', async () => {
  const directory = join(home, 'changed')
  await (await open(directory, { '0001-a.sql': lease })).close()
  await assert.rejects(open(directory, { '0001-a.sql': `${lease} -- more` }), migrationError(/changed after/))
})

test('a schema newer than the program is refused', async () => {
  const directory = join(home, 'newer')
  await (await open(directory, { '0001-a.sql': lease, '0002-b.sql': 'create table later (n int8);' })).close()
  await assert.rejects(open(directory, { '0001-a.sql': lease }), migrationError(/newer than this program.*0002-b/))
})

test('a file that is not named as the others is refused', async () => {
  await assert.rejects(open(join(home, 'named'), { 'second.sql': 'select 1' }), migrationError(/second\.sql/))
})

test('processes that start at the same moment apply each migration once', { skip: postgresMissing() }, async () => {
  const { database, url } = await freshPostgres()
  await database.query('drop table lease')
  await database.query('delete from schema_migration')
  const migrations = folderWith({
    '0001-a.sql': `${lease} select pg_sleep(0.2);`,
    '0002-b.sql': 'create table once (n int8);',
  })
  const opened = await Promise.all([1, 2, 3].map(() => openPostgres(url, { migrations })))
  assert.deepEqual(await database.query('select name from schema_migration order by name'), [
    { name: '0001-a.sql' },
    { name: '0002-b.sql' },
  ])
  for (const db of opened) await db.close()
  await database.close()
})
