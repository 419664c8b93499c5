import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from './errors.ts'

/** One connection, the same for every call. */
export interface MigrationSession {
  query<Row = Record<string, unknown>>(text: string, parameters?: readonly unknown[]): Promise<Row[]>
  /** Several statements without parameters. */
  script(text: string): Promise<void>
}

/** Any number that nothing else in the database uses: "SILT" in ASCII. */
const advisoryLock = 0x53494c54

const ownMigrations = new URL('./migrations/', import.meta.url)

/**
 * Brings the schema up to date: every numbered file of the folder that is not recorded yet, in order, each in a
 * transaction of its own together with its record. Other processes that start at the same moment wait for it.
 *
 * @throws StoreError `migration` when a file was changed after it was applied, or the schema is of a newer program
 */
export async function migrate(session: MigrationSession, folder: URL = ownMigrations): Promise<void> {
  const files = readMigrations(folder)
  await session.query('select pg_advisory_lock($1)', [advisoryLock])
  try {
    await session.script(`create table if not exists schema_migration (
      name text primary key, sha256 text not null, applied_at int8 not null)`)
    const rows = await session.query<{ name: string; sha256: string }>('select name, sha256 from schema_migration')
    const applied = new Map(rows.map((row) => [row.name, row.sha256]))
    for (const name of applied.keys())
      if (!files.some((file) => file.name === name))
        throw new StoreError('migration', `the schema is newer than this program: it has ${name}`)
    for (const file of files) {
      const recorded = applied.get(file.name)
      if (recorded === file.sha256) continue
      if (recorded !== undefined)
        throw new StoreError(
          'migration',
          `${file.name} was changed after it was applied: restore it and add a new file`,
        )
      await apply(session, file)
    }
  } finally {
    await session.query('select pg_advisory_unlock($1)', [advisoryLock])
  }
}

/** What a start would do with a schema on which these were applied. */
export function compareMigrations(
  applied: readonly { name: string; sha256: string }[],
  folder: URL = ownMigrations,
): { pending: string[]; mismatch: 'newer' | 'changed' | undefined } {
  const files = new Map(readMigrations(folder).map(({ name, sha256 }) => [name, sha256]))
  const pending = [...files.keys()].filter((name) => !applied.some((each) => each.name === name))
  const newer = applied.some(({ name }) => !files.has(name))
  const changed = applied.some(({ name, sha256 }) => files.has(name) && files.get(name) !== sha256)
  return { pending, mismatch: newer ? 'newer' : changed ? 'changed' : undefined }
}

interface Migration {
  readonly name: string
  readonly sha256: string
  readonly text: string
}

/**
 * How long a migration waits for a lock, ms. The program of before is at work meanwhile: what waits for a whole table keeps
 * everybody else from it, and waiting for longer than PostgreSQL's `deadlock_timeout` (a second) could end a transaction of
 * theirs instead of this one.
 */
const lockMs = 500
/** How often a migration that did not get its locks is begun anew, and the longest pause before it, ms. */
const attempts = 60
const pauseMs = 1_000
/** deadlock_detected, lock_not_available. */
const inTheWay: ReadonlySet<unknown> = new Set(['40P01', '55P03'])

async function apply(session: MigrationSession, file: Migration): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await session.script('begin')
      await session.script(`set local lock_timeout = ${lockMs}`)
      await session.script(file.text)
      await session.query('insert into schema_migration (name, sha256, applied_at) values ($1, $2, $3)', [
        file.name,
        file.sha256,
        Date.now(),
      ])
      return await session.script('commit')
    } catch (error) {
      await session.script('rollback')
      if (attempt < attempts && inTheWay.has((error as { code?: unknown }).code)) {
        await sleep(pauseMs * Math.random())
        continue
      }
      // A migration holds no values of users, so the server's words may be shown; without them nobody could mend it.
      const said = error instanceof Error ? error.message : 'unknown'
      throw new StoreError('migration', `${file.name} failed: ${said}`)
    }
  }
}

function readMigrations(folder: URL): Migration[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'))
  return names.sort().map((name) => {
    if (!/^\d{4}-[a-z0-9-]+\.sql$/.test(name))
      throw new StoreError('migration', `${name} is not named 0001-like-this.sql`)
    const text = readFileSync(new URL(name, folder), 'utf8')
    return { name, text, sha256: createHash('sha256').update(text).digest('hex') }
  })
}
