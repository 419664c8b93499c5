import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

test('one gives way to transactions that hold what it needs, and is applied in the end', {
  skip: postgresMissing(),
}, async () => {
  const { database, url } = await freshPostgres()
  await database.query('create table one (n int8)')
  await database.query('create table two (n int8)')
  const held = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  // The migration takes the tables in the other order.
  const old = database.transaction(async (tx) => {
    await tx.query('insert into two values (1)')
    held.resolve()
    await released.promise
    await tx.query('insert into one values (1)')
  })
  await held.promise
  const names = await database.query<{ name: string }>('select name from schema_migration')
  const known = Object.fromEntries(
    names.map(({ name }) => [name, readFileSync(new URL(`./migrations/${name}`, import.meta.url), 'utf8')]),
  )
  const more = 'alter table one add column next int8; alter table two add column next int8;'
  const opening = openPostgres(url, { migrations: folderWith({ ...known, '9999-next.sql': more }) })
  setTimeout(released.resolve, 1_500)
  await old
  const next = await opening
  assert.deepEqual(await next.query('select n, next from one'), [{ n: 1, next: null }])
  await next.close()
  await database.close()
})
