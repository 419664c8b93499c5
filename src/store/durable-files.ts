import { closeSync, fdatasyncSync, fsyncSync, openSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'

/**
 * How PGlite starts so that a commit is on disk when it is acknowledged. Its own way is `-F` (no fsync); and of the ways
 * to sync a log only `fsync` reaches the file system layer in this build: its fdatasync is empty.
 */
export const durableStart: readonly string[] = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync', '-c', 'shared_buffers=16MB'],
]

interface Stream {
  readonly nfd?: number
  readonly node: unknown
}

interface NodeFileSystem {
  realPath(node: unknown): string
  stream_ops: { fsync?: (stream: Stream) => number }
}

type Start = Parameters<NodeFS['init']>

/** PGlite's file system on a folder, with the fsync that it lacks. */
export class DurableFiles extends NodeFS {
  /** How often something was forced to disk. */
  syncs = 0

  override async init(...[pglite, options]: Start): ReturnType<NodeFS['init']> {
    const started = await super.init(pglite, options)
    const sync = (files: NodeFileSystem, stream: Stream): void => {
      this.syncs++
      if (stream.nfd === undefined) syncFolder(files.realPath(stream.node))
      else fdatasyncSync(stream.nfd)
    }
    started.emscriptenOpts.preRun?.push((module) => {
      const files = module.NODEFS as unknown as NodeFileSystem
      files.stream_ops.fsync = (stream) => {
        sync(files, stream)
        return 0
      }
    })
    return started
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
