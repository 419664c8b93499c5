import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equalBytes, fromUtf8 } from '../crypto/index.ts'
import { type ReadFile, type TileName, tilePath } from './log/index.ts'
import { readFromFolder } from './place.ts'

/** The log's files in a folder. What was written stays written: a tile never changes, not even after a crash. */
export interface PublishedFiles {
  readonly read: ReadFile
  /**
   * Writes tiles and bundles; all are on disk when this is done.
   *
   * @returns false when one of them is there with other content: then nobody may sign what follows from it
   */
  put(files: readonly { name: TileName; bytes: Uint8Array }[]): Promise<boolean>
  /**
   * Writes the checkpoint of so many entries beside its place, durably. `publish` then moves it there, durably too, and
   * gives false when a checkpoint of more entries is there, or of as many with more signatures: somebody has gone on
   * meanwhile.
   */
  stage(checkpoint: Uint8Array, size: number): Promise<{ publish(): Promise<boolean> }>
  /** Deletes the partial forms of tiles that are full by now (C2SP tlog-tiles allows it: the full one serves instead). */
  dropPartial(full: readonly TileName[]): Promise<void>
}

export function openPublishedFiles(folder: string): PublishedFiles {
  const read: ReadFile = (path) => readFromFolder(folder, path)
  // Behind a credential over HTTP, so not for every user of the machine either.
  const makeFolder = async () => {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    // That the folder is there has to be on disk before what is in it counts.
    if (made !== undefined) await syncFolder(dirname(made))
  }
  return {
    read,
    async put(files) {
      await makeFolder()
      const paths = files.map(({ name }) => join(folder, tilePath(name)))
      // At once: each waits for the disk.
      const same = await Promise.all(files.map(({ bytes }, i) => putOnce(paths[i]!, bytes)))
      if (same.includes(false)) return false
      const folders = new Set<string>()
      for (const path of paths)
        for (let at = dirname(path); at.length >= folder.length; at = dirname(at)) folders.add(at)
      // Also of what was there: a run that was killed may have written it and not synced its folder.
      await Promise.all([...folders].map(syncFolder))
      return true
    },
    async stage(checkpoint, size) {
      await makeFolder()
      const place = join(folder, 'checkpoint')
      const beside = temporary(place)
      await writeSynced(beside, checkpoint)
      return {
        async publish() {
          // In one go: a process that was stopped for minutes has lost its transaction, and must not put an old one in the
          // place of a new one.
          if (outdone(readIfThere(place), { checkpoint, size })) {
            rmSync(beside)
            return false
          }
          renameSync(beside, place)
          await syncFolder(folder)
          return true
        },
      }
    },
    async dropPartial(full) {
      for (const name of full) await rm(`${join(folder, tilePath(name))}.p`, { recursive: true, force: true })
    },
  }
}

/** The size that a checkpoint states; -1 for none. Whoever relies on it has verified it. */
export function statedSize(checkpoint: Uint8Array | undefined): number {
  const [, size = ''] = checkpoint ? fromUtf8(checkpoint).split('\n') : []
  return /^\d{1,15}$/.test(size) ? Number(size) : -1
}

/** Whether what is there must not be replaced by this one. Signatures and cosignatures are only ever added to one size. */
export function outdone(
  there: Uint8Array | undefined,
  { checkpoint, size }: { checkpoint: Uint8Array; size: number },
): boolean {
  const stated = statedSize(there)
  return stated > size || (stated === size && (there?.length ?? 0) > checkpoint.length)
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** A link and not a rename: it never takes the place of a file that is there. */
async function putOnce(path: string, bytes: Uint8Array): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true })
  const beside = temporary(path)
  await writeSynced(beside, bytes)
  try {
    await link(beside, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return equalBytes(new Uint8Array(await readFile(path)), bytes)
  } finally {
    await rm(beside, { force: true })
  }
}

function temporary(path: string): string {
  return join(dirname(path), `.new-${randomBytes(6).toString('hex')}`)
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o644)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
