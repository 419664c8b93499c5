import { execFileSync } from 'node:child_process'
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A disk of its own that can be full. */
export interface SmallDisk {
  readonly folder: string
  /** Takes all the room that is left on it. */
  fill(): void
  /** Gives it back. */
  free(): void
  /** Only when nobody has anything open there any more. */
  remove(): void
}

/**
 * Mounts one in memory, of so many megabytes: writing to it fails with ENOSPC as on any full disk.
 * @returns undefined where mounting is not permitted
 */
export function smallDisk(megabytes: number): SmallDisk | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'silta-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=1777`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  chmodSync(folder, 0o1777)
  const ballast = join(folder, 'ballast')
  const unmount = () => {
    try {
      execFileSync('umount', ['-l', folder], { stdio: 'ignore' })
    } catch {
      // Gone already.
    }
  }
  process.once('exit', unmount)
  return {
    folder,
    fill() {
      const file = openSync(ballast, 'a')
      try {
        for (let piece = 1024 * 1024; piece >= 1; piece = Math.floor(piece / 16)) fillWith(file, Buffer.alloc(piece))
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remove() {
      process.off('exit', unmount)
      unmount()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function fillWith(file: number, piece: Buffer): void {
  try {
    for (;;) if (writeSync(file, piece) < piece.length) return
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
