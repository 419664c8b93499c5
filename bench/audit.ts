/**
 * What the compliance log costs: entries appended with their actions and put into the tree, what it adds to a message, and
 * how long a whole log takes to verify, with our tool and with the Go program of test/interop/audit.
 *
 *     node bench/audit.ts [--entries 1000000] [--appends 2000]
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  anEvent,
  emptyFrontier,
  encodeBundle,
  encodeVerifier,
  type Frontier,
  grow,
  leafHash,
  openParity,
  partialTiles,
  readLogAt,
  rootOf,
  signCheckpoint,
  type TileName,
  testAudit,
  testSequencer,
  testSigner,
  tilePath,
  tileWidth,
  verifyLog,
} from '../src/audit/testing/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { type Database, openDatabase } from '../src/store/index.ts'
import { findPostgres, startPostgres } from '../test/support/postgres.ts'
import { median } from './statistics.ts'

export interface AuditFigures {
  /** By database; entries a second, each in a transaction of its own with its action, one after the other and 20 at once. */
  readonly append: Readonly<
    Record<string, { readonly one: number; readonly twenty: number; readonly sequenced: number }>
  >
  /** Nanoseconds that a message's two counts take. */
  readonly messageNs: number
  /** Bytes of an entry, and what it takes on disk with its share of the tiles. */
  readonly entryBytes: number
  readonly publishedBytes: number
  /** Seconds for the whole log. */
  readonly verifySeconds: { readonly ours: number; readonly go: number | undefined }
}

const audit = testAudit()
const rounds = 3

export async function measureAudit({ entries = 1_000_000, appends = 2_000 } = {}): Promise<AuditFigures> {
  const home = mkdtempSync(join(tmpdir(), 'silta-bench-audit-'))
  try {
    const append: Record<string, { one: number; twenty: number; sequenced: number }> = {}
    await using stack = new AsyncDisposableStack()
    const databases: [string, Database][] = [['pglite', await openDatabase({ directory: join(home, 'database') })]]
    if (findPostgres()) {
      // Every commit reaches the disk, as in operation.
      const server = await startPostgres(['fsync=on', 'full_page_writes=on'])
      stack.defer(() => server.stop())
      databases.push(['postgres', await openDatabase({ url: server.url, connections: 20 })])
    }
    for (const [name, database] of databases) {
      stack.defer(() => database.close())
      append[name] = await appending(database, join(home, `log-${name}`), appends)
    }
    const { folder, entryBytes, publishedBytes } = buildOnDisk(join(home, 'log'), entries)
    const ours = await seconds(() =>
      verifyLog(crypto, { read: readLogAt(folder), verifier: testSigner.verifier }).then(() => undefined),
    )
    const go = await goSeconds(home, folder)
    return {
      append,
      messageNs: await messageCost(databases[0]![1]),
      entryBytes,
      publishedBytes,
      verifySeconds: { ours, go },
    }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

async function appending(database: Database, folder: string, count: number) {
  let named = 0
  const add = () => database.transaction((tx) => audit.append(tx, anEvent(`name${++named % 50}`)))
  const rate = async (atOnce: number) => {
    const rates: number[] = []
    for (let round = 0; round < rounds; round++) {
      let left = count
      const work = async () => {
        while (left-- > 0) await add()
      }
      rates.push(count / (await seconds(() => Promise.all(Array.from({ length: atOnce }, work)).then(() => undefined))))
    }
    return median(rates)
  }
  await add()
  const [one, twenty] = [await rate(1), await rate(20)]
  const waiting = 1 + 2 * rounds * count
  const sequencing = await seconds(async () => {
    const { sequencer, faults } = testSequencer(database, folder)
    await sequencer.close()
    if (faults.length > 0) throw new Error(faults.join())
  })
  return { one, twenty, sequenced: waiting / sequencing }
}

async function messageCost(database: Database): Promise<number> {
  const parity = openParity({ database, audit, onFault: () => undefined })
  const messages = 1_000_000
  const taken = await seconds(async () => {
    for (let i = 0; i < messages; i++) {
      parity.accepted('own')
      parity.delivered('matrix', i % 1000)
    }
  })
  await parity.close()
  return (taken / messages) * 1e9
}

/** A log as the sequencer publishes it, with entries as long as real ones. */
function buildOnDisk(folder: string, size: number) {
  let frontier: Frontier = emptyFrontier
  let [bodies, published] = [0, 0]
  const put = (name: TileName, bytes: Uint8Array) => {
    const path = join(folder, tilePath(name))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
    published += bytes.length
  }
  for (let first = 0; first < size; first += tileWidth) {
    const entries = Array.from({ length: Math.min(tileWidth, size - first) }, (_, i) => {
      const id = String(first + i).padStart(22, '0')
      return Buffer.from(
        `{"account":"${id}","id":"${id}","network":"matrix","time":"2026-01-01T00:00:00.000Z","type":"network.opted-in","version":1}`,
      )
    })
    for (const entry of entries) bodies += entry.length
    put({ level: 'entries', index: first / tileWidth, width: entries.length }, encodeBundle(entries))
    const grown = grow(
      crypto,
      frontier,
      entries.map((entry) => leafHash(crypto, entry)),
    )
    for (const { name, bytes } of grown.full) put(name, bytes)
    frontier = grown.frontier
  }
  for (const { name, bytes } of partialTiles(frontier)) put(name, bytes)
  writeFileSync(join(folder, 'checkpoint'), signCheckpoint({ size, root: rootOf(crypto, frontier) }, testSigner))
  return { folder, entryBytes: bodies / size, publishedBytes: published / size }
}

async function goSeconds(home: string, folder: string): Promise<number | undefined> {
  const program = join(home, 'audit')
  const cwd = join(import.meta.dirname, '../test/interop/audit')
  if (spawnSync('go', ['build', '-o', program, '.'], { cwd }).status !== 0) return undefined
  return seconds(async () => {
    const { status, stdout } = spawnSync(program, [folder, encodeVerifier(testSigner.verifier)], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stdout)
  })
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { entries: { type: 'string', default: '1000000' }, appends: { type: 'string', default: '2000' } },
  })
  const figures = await measureAudit({ entries: Number(values.entries), appends: Number(values.appends) })
  console.log(JSON.stringify(figures, undefined, 2))
}
