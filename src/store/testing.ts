/**
 * Databases for tests, of any module: a fresh, migrated one in well under a second on both dialects. Only tests import
 * this file.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { after, describe } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findPostgres, startPostgres } from '../../test/support/postgres.ts'
import type { Database, Transaction } from './database.ts'
import { StoreError } from './errors.ts'
import { openDatabase } from './open.ts'
import { openPglite } from './pglite.ts'
import { reset, tablesOf } from './testing/reset.ts'

export type TestDialect = Database['dialect']
export type TestDatabase = Database & AsyncDisposable

/** The URL of a server that the test runner has started for all test processes; without it each starts its own. */
const sharedServer = process.env.SILTA_TEST_POSTGRES

/**
 * A fresh database, or one that a test before has closed and that is as empty as a fresh one: in memory for PGlite, on a
 * test server for PostgreSQL. Closed by `await using` or `close()`, and in any case when the test file ends.
 */
export async function freshDatabase(dialect: TestDialect = 'pglite'): Promise<TestDatabase> {
  const reused = idle[dialect].pop()
  const database = reused?.database ?? (await make(dialect))
  const migrated = reused?.migrated ?? (await tablesOf(database))
  return forTest(closable(database), async () => {
    await reset(database, migrated)
    idle[dialect].push({ database, migrated })
  })
}

/**
 * Runs the suite once on each dialect. Without PostgreSQL that half is skipped visibly, or fails where `CI` is set.
 *
 * @param define is given the dialect and a function that opens a fresh database
 */
export function onBothDialects(
  name: string,
  define: (open: () => Promise<TestDatabase>, dialect: TestDialect) => void,
): void {
  describe(`${name} (pglite)`, () => define(() => freshDatabase('pglite'), 'pglite'))
  describe(`${name} (postgres)`, { skip: postgresMissing() }, () => define(() => freshDatabase('postgres'), 'postgres'))
}

/** Why tests on PostgreSQL are skipped here; false when they run (in CI they always do, and fail when it is missing). */
export function postgresMissing(): string | false {
  if (sharedServer || findPostgres() || process.env.CI) return false
  return 'PostgreSQL is not installed'
}

const open = new Set<TestDatabase>()
// Registered while the file loads: at the end of the file, not of the test that happened to open the first database.
after(async () => {
  for (const database of open) await database.close()
  for (const { database } of [...idle.pglite, ...idle.postgres]) await database.close()
  await stopServer?.()
})

function forTest(database: Database, dispose?: () => Promise<void>): TestDatabase {
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= (async () => {
      open.delete(test)
      await database.close()
      await dispose?.()
    })()
    return closing
  }
  const test: TestDatabase = { ...database, close, [Symbol.asyncDispose]: close }
  open.add(test)
  return test
}

interface Reusable {
  readonly database: Database
  readonly migrated: ReadonlySet<string>
}

/** Closed by their tests and empty again. */
const idle: Record<TestDialect, Reusable[]> = { pglite: [], postgres: [] }

async function make(dialect: TestDialect): Promise<Database> {
  return dialect === 'pglite'
    ? openPglite('memory://', { template: await emptyPglite() })
    : (await newPostgres()).database
}

/** A database that seems to be closed once it was closed, and is not. */
function closable(database: Database): Database {
  let closed = false
  const check = () => {
    if (closed) throw new StoreError('closed', 'the database is closed')
  }
  return {
    dialect: database.dialect,
    async query<Row>(text: string, parameters?: readonly unknown[]) {
      check()
      return database.query<Row>(text, parameters)
    },
    async transaction<T>(work: (transaction: Transaction) => Promise<T>) {
      check()
      return database.transaction(work)
    },
    async close() {
      closed = true
    },
  }
}

let template: Promise<Blob> | undefined

/** An empty data directory as an archive: initdb takes seconds, so it is made once and kept with the other caches. */
export function emptyPglite(): Promise<Blob> {
  template ??= (async () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    const version: string = manifest.dependencies['@electric-sql/pglite']
    const folder = fileURLToPath(new URL('../../node_modules/.cache/silta/', import.meta.url))
    const file = `${folder}pglite-${version}.tar`
    if (existsSync(file)) return new Blob([readFileSync(file)])
    const { PGlite } = await import('@electric-sql/pglite')
    const pglite = await PGlite.create('memory://')
    const archive = await pglite.dumpDataDir('none')
    await pglite.close()
    mkdirSync(folder, { recursive: true })
    const beside = `${file}.${process.pid}`
    writeFileSync(beside, Buffer.from(await archive.arrayBuffer()))
    renameSync(beside, file)
    return archive
  })()
  return template
}

let server: Promise<string> | undefined
let stopServer: (() => Promise<void>) | undefined
let migrated: Promise<string> | undefined

async function serverUrl(): Promise<string> {
  if (sharedServer) return sharedServer
  server ??= startPostgres().then(({ url, stop }) => {
    stopServer = stop
    return url
  })
  return server
}

/** A fresh migrated database of its own on the test server, and its URL for further connections. */
export async function freshPostgres(): Promise<{ database: TestDatabase; url: string }> {
  const { database, url, drop } = await newPostgres()
  return { url, database: forTest(database, drop) }
}

async function newPostgres() {
  const maintenance = await serverUrl()
  migrated ??= (async () => {
    const name = newName('template')
    await administer(maintenance, `create database ${name}`)
    await (await openDatabase({ url: withDatabase(maintenance, name) })).close()
    return name
  })()
  const name = newName('test')
  await administer(maintenance, `create database ${name} template ${await migrated}`)
  const url = withDatabase(maintenance, name)
  const database = await openDatabase({ url })
  return { url, database, drop: () => administer(maintenance, `drop database ${name} with (force)`) }
}

function newName(kind: string): string {
  return `silta_${kind}_${randomBytes(6).toString('hex')}`
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

async function administer(url: string, statement: string): Promise<void> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
