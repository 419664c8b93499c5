import { closeSync, fdatasyncSync, fsyncSync, openSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import { StoreError } from './errors.ts'

/**
 * How PGlite starts so that a commit is on disk when it is acknowledged. Its own way is `-F` (no fsync); and of the ways
 * to sync a log only `fsync` reaches the file system layer in this build: its fdatasync is empty.
 */
export const durableStart: readonly string[] = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync', '-c', 'shared_buffers=16MB'],
  // Files of the log are kept for their next use; a gigabyte of them, as usual, is for larger databases.
  ...['-c', 'min_wal_size=32MB', '-c', 'max_wal_size=64MB'],
]

interface Stream {
  readonly nfd?: number
  readonly node: unknown
}

interface NodeFileSystem {
  realPath(node: unknown): string
  stream_ops: { fsync?: (stream: Stream) => number }
}

/** EIO as WASI numbers it. */
const inputOutputError = 29

/** PGlite's file system on a folder, with the fsync that it lacks. */
export class DurableFiles extends NodeFS {
  /** How often something was forced to disk. */
  syncs = 0
  /**
   * Set once something could not be forced to disk. What the operating system then still has in memory is anybody's guess,
   * so nothing may be acknowledged from there on, and trying again proves nothing.
   */
  failure: StoreError | undefined
  readonly #syncFile: (descriptor: number) => void

  constructor(directory: string, syncFile: (descriptor: number) => void = fdatasyncSync) {
    super(directory)
    this.#syncFile = syncFile
  }

  override async init(...[pglite, options]: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const started = await super.init(pglite, options)
    started.emscriptenOpts.preRun?.push((module) => {
      const files = module.NODEFS as unknown as NodeFileSystem
      files.stream_ops.fsync = (stream) => this.#sync(files, stream)
    })
    return started
  }

  #sync(files: NodeFileSystem, stream: Stream): number {
    try {
      if (stream.nfd === undefined) syncFolder(files.realPath(stream.node))
      else this.#syncFile(stream.nfd)
      this.syncs++
      return 0
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
      this.failure ??= new StoreError('disk', `the disk did not take what was written (${code}); start anew`)
      return inputOutputError
    }
  }
}

/** PostgreSQL syncs a folder after creating or renaming a file in it; this layer opens no descriptor for folders. */
function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
