/** `silta check` looks at where state is kept, and leaves everything as it was. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { run } from '../src/cli/index.ts'
import { openDatabase } from '../src/store/index.ts'
import { findPostgres, type PostgresServer, startPostgres } from './support/postgres.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-check-storage-'))
after(() => rmSync(home, { recursive: true, force: true }))

async function silta(env: NodeJS.ProcessEnv) {
  const said: string[] = []
  const write = (text: string) => void said.push(text)
  const code = await run(['check'], { env: { SILTA_PROVIDER_DOMAIN: 'a.example', ...env }, out: write, err: write })
  return { code, said: said.join('') }
}

describe('silta check', () => {
  test('says what a start would make, and makes nothing', async () => {
    const folder = join(home, 'not', 'yet')
    const matrix = { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2', SILTA_MATRIX_DOMAIN: 'b.example' }
    const { code, said } = await silta({ SILTA_DATA_DIRECTORY: folder, ...matrix })
    assert.equal(code, 0, said)
    assert.match(said, /^ok {7}data directory: .*not\/yet will be made/m)
    assert.match(said, /^ok {7}generated keys: 6 will be made by the first start/m)
    assert.match(said, /^skipped {2}homeserver: there are no tokens yet/m)
    assert.equal(existsSync(join(home, 'not')), false)
  })

  test('says when there is no folder where one has to be', async () => {
    writeFileSync(join(home, 'file'), '')
    const { code, said } = await silta({ SILTA_DATA_DIRECTORY: join(home, 'file', 'data') })
    assert.equal(code, 1)
    assert.match(said, /^WRONG {4}data directory: .*file is a file, and no folder/m)
  })
})

describe('silta check with PostgreSQL', { skip: findPostgres() === undefined && 'PostgreSQL is not installed' }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())
  const check = (url: string) => silta({ SILTA_DATA_DIRECTORY: join(home, 'data'), DATABASE_URL: url })
  const sql = async (text: string, url = server.url) => {
    const client = new pg.Client(url)
    await client.connect()
    await client.query(text)
    await client.end()
  }
  const database = async (name: string) => {
    await sql(`create database ${name}`)
    return server.url.replace(/postgres$/, name)
  }

  test('says what the next start does to the schema, and that it is up to date afterwards', async () => {
    const url = await database('fresh')
    const empty = await check(url)
    assert.equal(empty.code, 0, empty.said)
    assert.match(empty.said, /^ok {7}database: PostgreSQL \d+ answers/m)
    assert.match(empty.said, /^ok {7}database schema: \d+ migrations will be applied at the next start/m)
    await (await openDatabase({ url })).close()
    assert.match((await check(url)).said, /^ok {7}database schema: is up to date/m)
    await sql("insert into schema_migration values ('9999-later.sql', '', 0)", url)
    const newer = await check(url)
    assert.equal(newer.code, 1)
    assert.match(newer.said, /^WRONG {4}database schema: is of a newer Silta/m)
  })

  test('says when the user may not make tables, when nothing may be written, and when nobody answers', async () => {
    const url = await database('closed')
    await sql('create role stranger login')
    const stranger = await check(url.replace('//silta@', '//stranger@'))
    assert.equal(stranger.code, 1)
    assert.match(stranger.said, /^WRONG {4}database schema: needs \d+ migrations, and this user may not/m)
    await sql('alter database closed set default_transaction_read_only = on')
    assert.match((await check(url)).said, /^WRONG {4}database: takes no writes/m)
    const nobody = await check('postgres://silta:a-secret-word@127.0.0.1:2/silta')
    assert.equal(nobody.code, 1)
    assert.match(nobody.said, /^WRONG {4}database: PostgreSQL does not let us in/m)
    assert.doesNotMatch(nobody.said, /a-secret-word/)
    assert.equal(existsSync(join(home, 'data')), false)
  })
})
