import pg from 'pg'
import { fromDriver } from './errors.ts'
import { compareMigrations } from './migrations.ts'

/** What somebody who is about to run this on a PostgreSQL has to know of it. */
export interface Inspection {
  /** Such as 170002 (`server_version_num`). */
  readonly version: number
  /** Migrations that the next start applies; all of them in an empty database. */
  readonly pending: readonly string[]
  /** The schema is of a newer program, or a migration was changed after it was applied: this program will not start. */
  readonly mismatch: 'newer' | 'changed' | undefined
  /** May make tables and schemas, as migrations do. */
  readonly mayCreate: boolean
  /** A standby, or set to read only. */
  readonly readOnly: boolean
}

/**
 * Looks at a PostgreSQL without changing anything in it.
 *
 * @throws StoreError `unavailable` and what else the driver finds
 */
export async function inspectPostgres(url: string, patienceMs = 10_000): Promise<Inspection> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: patienceMs,
    statement_timeout: patienceMs,
    application_name: 'silta check',
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query(
      `select current_setting('server_version_num')::int4 as version,
              has_database_privilege(current_database(), 'CREATE') as schemas,
              has_schema_privilege('public', 'CREATE') as tables,
              to_regclass('schema_migration') is not null as migrated,
              pg_is_in_recovery() or current_setting('transaction_read_only')::bool as read_only`,
    )
    const [row] = rows as [
      { version: number; schemas: boolean; tables: boolean; migrated: boolean; read_only: boolean },
    ]
    const applied = row.migrated ? (await client.query('select name, sha256 from schema_migration')).rows : []
    return {
      version: row.version,
      ...compareMigrations(applied),
      mayCreate: row.schemas && row.tables,
      readOnly: row.read_only,
    }
  } catch (error) {
    throw fromDriver(error)
  } finally {
    await client.end().catch(() => undefined)
  }
}
