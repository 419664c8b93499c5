import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreError } from './errors.ts'

/** A restart overlaps the process it replaces by moments; more than this and the other one is there to stay. */
const patienceMs = 2_000

/**
 * Takes a folder for this process alone. PGlite itself takes no lock, and two processes on one folder destroy each
 * other's rows silently. SQLite's exclusive lock is one of the operating system, so it is freed however the holder dies.
 *
 * @throws StoreError `locked`
 */
export function lockDirectory(directory: string, waitMs = patienceMs): Disposable {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(join(directory, 'lock.db'), { timeout: waitMs })
    lock.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock?.close()
    if ((error as { errcode?: number }).errcode === 5 /* SQLITE_BUSY */)
      throw new StoreError(
        'locked',
        'the data directory is in use by another process: stop that one, or choose another directory',
      )
    throw new StoreError('unavailable', 'the data directory cannot be locked: is it writable?')
  }
  const held = lock
  return {
    [Symbol.dispose]() {
      held.close()
    },
  }
}
