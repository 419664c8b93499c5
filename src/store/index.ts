/**
 * The store: one small interface over the embedded database (PGlite) and PostgreSQL, schema migrations, leases with
 * fencing, sealed values.
 *
 * It may know SQL and the two drivers. It knows no table of the modules above: their schema is files in `migrations/`,
 * their statements are theirs. It never puts a parameter or a row's value into an error, and it never waits for the
 * network while it holds the embedded database's only connection.
 */

export { backupFolder, replaceFolder } from './backup.ts'
export type { Database, DatabaseSettings, Queryable, Transaction } from './database.ts'
export { isStoreError, LeaseLost, StoreError, type StoreErrorCode } from './errors.ts'
export { beginIncarnation, currentIncarnation } from './incarnation.ts'
export { type Inspection, inspectPostgres } from './inspect.ts'
export {
  acquireLease,
  assertFence,
  type Lease,
  type LeaseRequest,
  leasesHeldMs,
  releaseLease,
  renewLease,
  renewLeases,
  requireFence,
} from './leases.ts'
export { lockDirectory } from './lock.ts'
export { openDatabase } from './open.ts'
export { createSealer, type Sealer } from './sealer.ts'
export { gathered } from './transactions.ts'
