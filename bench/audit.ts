/**
 * What the compliance log costs: entries appended with their actions and put into the tree, what it adds to a message, how
 * long a whole log takes to verify, with our tool and with the Go program of test/interop/audit, and what an answer to an
 * auditor takes: `npm run bench -- audit`.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
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
import { type MessageCosts, measureMessages } from './audit-message.ts'
import { measureQueries, type QueryTimes } from './audit-query.ts'
import type { BenchOptions } from './options.ts'
import { median } from './statistics.ts'

export interface AuditFigures {
  /** By database; entries a second, each in a transaction of its own with its action, one after the other and 20 at once. */
  readonly append: Readonly<
    Record<string, { readonly one: number; readonly twenty: number; readonly sequenced: number }>
  >
  /** The same messages with the log and without it. */
  readonly message: MessageCosts
  /** Nanoseconds that a message's two counts take: what of it the log can be blamed for. */
  readonly messageNs: number
  /** How many entries were verified. */
  readonly entries: number
  /** Bytes of an entry, and what it takes on disk with its share of the tiles. */
  readonly entryBytes: number
  readonly publishedBytes: number
  /** Seconds for the whole log. */
  readonly verifySeconds: { readonly ours: number; readonly go: number | undefined }
  /** Undefined where PostgreSQL is not installed. */
  readonly queries: QueryTimes | undefined
}

const audit = testAudit()

export async function measureAudit(
  { quick, rounds }: BenchOptions,
  progress: (line: string) => void,
): Promise<AuditFigures> {
  const entries = quick ? 20_000 : 1_000_000
  const appends = quick ? 50 : 2_000
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
      progress(`audit: entries appended, ${name}`)
      append[name] = await appending(database, { folder: join(home, `log-${name}`), count: appends, rounds })
    }
    progress('audit: messages with the log and without it')
    const message = measureMessages(rounds, quick ? 20 : 500)
    progress(`audit: a log of ${entries} entries is made and verified`)
    const { folder, entryBytes, publishedBytes } = buildOnDisk(join(home, 'log'), entries)
    const ours = await seconds(() =>
      verifyLog(crypto, { read: readLogAt(folder), verifier: testSigner.verifier }).then(() => undefined),
    )
    const go = await goSeconds(home, folder)
    const queries = findPostgres() ? await measureQueries(quick ? 100_000 : 10_000_000, progress) : undefined
    return {
      ...{ append, message, entries, queries },
      messageNs: await messageCost(databases[0]![1]),
      entryBytes,
      publishedBytes,
      verifySeconds: { ours, go },
    }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

async function appending(
  database: Database,
  { folder, count, rounds }: { folder: string; count: number; rounds: number },
) {
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
