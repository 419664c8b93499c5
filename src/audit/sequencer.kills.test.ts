import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../../test/support/postgres.ts'
import { fromUtf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { type DatabaseSettings, openDatabase } from '../store/index.ts'
import { openPglite } from '../store/pglite.ts'
import { emptyPglite, postgresMissing } from '../store/testing.ts'
import { emptyFrontier, grow, leafHash, rootOf, verifyLog } from './log/index.ts'
import { readLogAt } from './place.ts'
import { statedSize } from './published.ts'
import { auditSteps } from './sequence.ts'
import { testSigner } from './testing/log.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-audit-kills-'))
after(() => rmSync(home, { recursive: true, force: true }))
const program = fileURLToPath(new URL('./sequencer.fixture.ts', import.meta.url))
/** A machine on which everything runs at once. */
const patienceMs = 120_000

let lives = 0

/** Processes that act and sequence over one database and folder, and what all of them have said. */
function openLives(database: DatabaseSettings, folder: string) {
  const acted: string[] = []
  /** Every text that was ever signed, published or not. */
  const signed: string[] = []
  let earlier: Uint8Array | undefined
  const begin = (life: { signal?: string; at?: string; time?: number; actions?: number; leaseMs: number }) => {
    const name = `life${++lives}`
    const child = spawn(process.execPath, [program, JSON.stringify({ ...life, name, database, folder })], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: patienceMs,
    })
    child.stdin.on('error', () => undefined)
    const own = { acted: -1, signed: 0, stopped: false }
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const [kind, what = ''] = line.split(' ')
        if (kind === 'acted') own.acted = acted.push(what)
        if (kind === 'signed') {
          signed.push(Buffer.from(what, 'base64').toString())
          own.signed++
        }
        if (kind === 'stopped') own.stopped = true
      }
    })
    const ended = new Promise((resolve) => child.once('close', (_code, by) => resolve(by)))
    return { child, said: own, ended }
  }
  const readLog = async () => {
    if (!existsSync(join(folder, 'checkpoint'))) return []
    const entries: Uint8Array[] = []
    await verifyLog(crypto, {
      read: readLogAt(folder),
      verifier: testSigner.verifier,
      earlier,
      onEntry: (entry) => void entries.push(entry),
    })
    earlier = new Uint8Array(readFileSync(join(folder, 'checkpoint')))
    return entries
  }
  /** One log, of which everything that was ever signed is a beginning; each action has its entry. */
  const verify = async () => {
    const entries = await readLog()
    const roots = rootsOf(entries)
    for (const text of signed) {
      const [, size, root] = text.split('\n')
      assert.equal(root, roots[Number(size)], `what was signed at ${size} is no beginning of the log`)
    }
    const bodies = entries.map((entry) => JSON.parse(fromUtf8(entry)) as { id: string; account?: string })
    assert.equal(new Set(bodies.map(({ id }) => id)).size, bodies.length)
    const opened = await openDatabase(database)
    const [done] = await opened.query<{ count: number }>('select count(*)::int4 as count from action')
    await opened.close()
    // Also those of which nobody was told any more.
    assert.equal(new Set(bodies.map(({ account }) => account)).size, done!.count)
    assert.equal(bodies.length, done!.count)
    assert.ok(done!.count >= acted.length)
  }
  return { begin, readLog, verify, acted, signed }
}

/** The root of every beginning of a log, in base64. */
function rootsOf(entries: readonly Uint8Array[]): string[] {
  let frontier = emptyFrontier
  const roots = [Buffer.from(rootOf(crypto, frontier)).toString('base64')]
  for (const entry of entries) {
    frontier = grow(crypto, frontier, [leafHash(crypto, entry)]).frontier
    roots.push(Buffer.from(rootOf(crypto, frontier)).toString('base64'))
  }
  return roots
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + patienceMs; !holds(); await sleep(10)) assert.ok(Date.now() < end, what)
}

test('killed between any two steps, the log goes on: nothing is lost, doubled or forked', async () => {
  const [directory, folder] = [join(home, 'database'), join(home, 'log')]
  await (await openPglite(directory, { template: await emptyPglite() })).close()
  const all = openLives({ directory }, folder)
  for (const [i, at] of auditSteps.entries()) {
    assert.equal(await all.begin({ signal: 'SIGKILL', at, time: 1 + (i % 3), leaseMs: 50 }).ended, 'SIGKILL', at)
    await all.readLog()
  }
  assert.equal(await all.begin({ actions: 120, leaseMs: 50 }).ended, null)
  await all.verify()
})

describe('of several processes on PostgreSQL', { skip: postgresMissing() }, () => {
  test('one that is stopped past its lease and continued, or killed, signs nothing that forks', async () => {
    const server = await startPostgres()
    try {
      const folder = join(home, 'shared-log')
      // Two steps lie inside of the transaction that holds the fence: the server ends it after that time.
      const all = openLives({ url: server.url, statementTimeoutMs: 1000 }, folder)
      for (const [i, at] of auditSteps.entries()) {
        const one = all.begin({ signal: 'SIGSTOP', at, time: 1 + (i % 2), leaseMs: 100 })
        await until(`stopped at ${at}`, () => one.said.stopped)
        const other = all.begin({ leaseMs: 100 })
        await until('the other signs', () => other.said.signed > 2)
        const published = readFileSync(join(folder, 'checkpoint'))
        one.child.kill('SIGCONT')
        const before = all.acted.length
        await until('both act', () => one.said.acted > before && other.said.acted > before)
        assert.ok(statedSize(readFileSync(join(folder, 'checkpoint'))) >= statedSize(published), at)
        // One goes in order, one does not.
        one.child.stdin.end()
        other.child.kill('SIGKILL')
        assert.deepEqual([await one.ended, await other.ended], [null, 'SIGKILL'])
        await all.readLog()
      }
      assert.equal(await all.begin({ actions: 10, leaseMs: 100 }).ended, null)
      await all.verify()
    } finally {
      await server.stop()
    }
  })
})
