import { existsSync } from 'node:fs'
import { cp, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StoreError } from './errors.ts'
import { lockDirectory } from './lock.ts'

/** The database below an embedded database's folder. */
const part = 'pg'
/** By this PostgreSQL's files are known. */
const versionFile = 'PG_VERSION'

/** Copies a folder and forces it to disk, under a name of its own until it is complete. @throws StoreError */
export async function copyFolder(from: string, to: string): Promise<void> {
  if (existsSync(to)) throw new StoreError('unavailable', 'the folder for the backup exists already: choose a new one')
  const beside = `${to}.part`
  try {
    await rm(beside, { recursive: true, force: true })
    await mkdir(dirname(to), { recursive: true })
    await cp(from, beside, { recursive: true, preserveTimestamps: true })
    await forceToDisk(beside)
    await rename(beside, to)
  } catch (error) {
    await rm(beside, { recursive: true, force: true })
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    throw new StoreError('unavailable', `the backup could not be written (${code})`)
  }
}

async function forceToDisk(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const file = await open(join(entry.parentPath, entry.name))
    await file.sync()
    await file.close()
  }
}

/** The same for a database that nobody has open. @throws StoreError `locked` when somebody has */
export async function backupFolder(directory: string, to: string): Promise<void> {
  if (!existsSync(join(directory, part))) throw new StoreError('unavailable', 'there is no embedded database')
  using _ = lockDirectory(directory)
  await copyFolder(join(directory, part), to)
}

/**
 * Puts a backup in the place of an embedded database, which is kept beside it.
 *
 * @returns where the replaced one is now; undefined when there was none
 * @throws StoreError `locked` when somebody has it open
 */
export async function replaceFolder(directory: string, backup: string): Promise<string | undefined> {
  if (!existsSync(join(backup, versionFile))) throw new StoreError('unavailable', 'this folder is not a backup')
  using _ = lockDirectory(directory)
  const place = join(directory, part)
  const fresh = join(directory, `${part}.backup`)
  await rm(fresh, { recursive: true, force: true })
  await copyFolder(backup, fresh)
  let replaced: string | undefined
  if (existsSync(place)) {
    for (let number = 1; replaced === undefined || existsSync(replaced); number++)
      replaced = join(directory, `${part}.replaced-${number}`)
    await rename(place, replaced)
  }
  await rename(fresh, place)
  return replaced
}
