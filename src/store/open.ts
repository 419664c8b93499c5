import type { Database, DatabaseSettings } from './database.ts'
import { StoreError } from './errors.ts'

/**
 * Opens the database and brings its schema up to date: PostgreSQL when there is a `url`, otherwise the embedded one in
 * `directory`. Each driver is loaded only when it is used.
 *
 * @throws StoreError `locked`, `unavailable`, `migration`
 */
export async function openDatabase(settings: DatabaseSettings): Promise<Database> {
  if (settings.url) return (await import('./postgres.ts')).openPostgres(settings.url, settings)
  if (settings.directory) return (await import('./pglite.ts')).openPglite(settings.directory, settings)
  throw new StoreError('failed', 'openDatabase needs a url or a directory')
}
