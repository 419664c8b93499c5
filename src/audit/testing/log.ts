import { utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import {
  emptyFrontier,
  encodeBundle,
  grow,
  leafHash,
  type NoteSigner,
  noteSigner,
  partialTiles,
  rootOf,
  signCheckpoint,
  type TileName,
  tilePath,
  tileWidth,
} from '../log/index.ts'

/** For tests: the files of a whole log in memory, by path. Only tests import this folder. */
export type LogFiles = Map<string, Uint8Array>

export const testSigner: NoteSigner = noteSigner(crypto, 'bridge.example/audit', crypto.sha256(utf8('log key')))

export function testEntries(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => utf8(`{"number":${i}}`))
}

export function buildLog(entries: readonly Uint8Array[], signer: NoteSigner = testSigner): LogFiles {
  const { frontier, full } = grow(
    crypto,
    emptyFrontier,
    entries.map((entry) => leafHash(crypto, entry)),
  )
  const files: LogFiles = new Map()
  const put = (name: TileName, bytes: Uint8Array) => files.set(tilePath(name), bytes)
  for (const { name, bytes } of [...full, ...partialTiles(frontier)]) put(name, bytes)
  for (let index = 0; index * tileWidth < entries.length; index++) {
    const part = entries.slice(index * tileWidth, (index + 1) * tileWidth)
    put({ level: 'entries', index, width: part.length }, encodeBundle(part))
  }
  files.set('checkpoint', signCheckpoint({ size: entries.length, root: rootOf(crypto, frontier) }, signer))
  return files
}
