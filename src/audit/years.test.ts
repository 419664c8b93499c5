import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Hono } from 'hono'
import { fromUtf8, utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { type Database, isStoreError } from '../store/index.ts'
import { onBothDialects } from '../store/testing.ts'
import { addAuditor, openCredentials, watchAuditors } from './credentials.ts'
import { decodeProof, noteSigner, verifyLog, verifyProof } from './log/index.ts'
import { readLogAt } from './place.ts'
import { openPublishedFiles } from './published.ts'
import { queryRoutes } from './query/index.ts'
import { indexSome } from './query/indexer.ts'
import { logRoutes } from './routes.ts'
import { auditSteps } from './sequence.ts'
import { shardsOf } from './shards.ts'
import { testSigner } from './testing/log.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-years-'))
after(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
const newFolder = () => join(home, `log-${++folders}`)
const base = testSigner.verifier.name
const seed = crypto.sha256(utf8('log key'))
const signersOf = (origin: string) => [noteSigner(crypto, origin, seed)]
const [in2026, in2027, in2029] = [2026, 2027, 2029].map((year) => Date.UTC(year, 5, 1))

/** A service whose clock says this. */
const life = (database: Database, folder: string, now: number) => {
  const audit = testAudit(() => now)
  const years = { signersOf, filesOf: (label: string) => openPublishedFiles(join(folder, label)), clock: () => now }
  const add = (count: number) =>
    database.transaction(async (tx) => {
      for (let i = 0; i < count; i++) await audit.append(tx, anEvent(`name${i % 20}`))
    })
  const run = async () => {
    const { sequencer, faults } = testSequencer(database, folder, { audit, years })
    await sequencer.close()
    assert.deepEqual(faults, [])
    return sequencer.refused?.code
  }
  return { add, run, years, audit }
}

type Entry = { type: string; time: string } & Record<string, unknown>

async function verified(
  folder: string,
  label: string,
  earlier?: Uint8Array,
): Promise<{ entries: Entry[]; root: string }> {
  const entries: Entry[] = []
  const [signer] = signersOf(label === '' ? base : `${base}/${label}`)
  const { root } = await verifyLog(crypto, {
    read: readLogAt(join(folder, label)),
    verifier: signer!.verifier,
    earlier,
    onEntry: (entry) => void entries.push(JSON.parse(fromUtf8(entry))),
  })
  return { entries, root: Buffer.from(root).toString('base64') }
}

const typesOf = (entries: readonly Entry[]) => entries.map(({ type }) => type)
const checkpointOf = (folder: string, label: string) => new Uint8Array(readFileSync(join(folder, label, 'checkpoint')))

/** All rows of the log's tables, and the way back to them. */
async function backup(database: Database) {
  const entries = await database.query<Record<string, unknown>>(
    'select id, at, body, place from audit.entry order by no',
  )
  const logs = await database.query<Record<string, unknown>>('select * from audit.log')
  return () =>
    database.transaction(async (tx) => {
      for (const table of ['audit.entry', 'audit.log']) await tx.query(`delete from ${table}`)
      for (const [table, rows] of [
        ['audit.entry', entries],
        ['audit.log', logs],
      ] as const)
        for (const row of rows) {
          const names = Object.keys(row)
          const numbers = names.map((_, i) => `$${i + 1}`)
          await tx.query(`insert into ${table} (${names.join()}) values (${numbers.join()})`, Object.values(row))
        }
    })
}

/** What the API answers names log and index, and can be proven, whichever year's it is. */
async function asked(database: Database, folder: string) {
  while (await indexSome(database, base));
  const file = `${folder}-auditors`
  const { credential } = addAuditor(crypto, file, { forMs: 1_000_000 })
  const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
  const read = readLogAt(folder)
  const logs = () => shardsOf(database, base)
  const app = new Hono()
    .route('/', queryRoutes({ database, crypto, verifier: testSigner.verifier, read, credentials }))
    .route('/', logRoutes({ read, credentials, logs }))
  const get = (path: string) => app.request(`/audit/${path}`, { headers: { authorization: `Bearer ${credential}` } })
  const page = (await (await get('v1/entries?order=newest&limit=5')).json()) as {
    entries: { log: string; index: number; entry: Entry }[]
    next: string
  }
  const placed = page.entries.map(({ log, index, entry }) => `${log.slice(base.length)} ${index} ${entry.type}`)
  const in2027 = ['/2027 6 log.closed', '/2027 5 network.opted-in', '/2027 4 network.opted-in']
  assert.deepEqual(placed, ['/2029 1 network.opted-in', '/2029 0 log.opened', ...in2027])
  const lines = (await (await get('v1/export?format=ndjson')).text()).trim().split('\n')
  assert.equal(lines.length, 314)
  assert.match(lines[304]!, new RegExp(`"log":"${base}","index":304,.*log.closed`))
  assert.match(lines[305]!, new RegExp(`"log":"${base}/2027","index":0,.*log.opened`))
  // Without a name, an index says nothing.
  assert.equal((await get('v1/entries/1')).status, 400)
  assert.equal((await get('v1/entries/7/proof?log=bridge.example/audit/2027')).status, 404)
  for (const [label, index] of [
    ['', 304],
    ['2027', 0],
    ['2029', 1],
  ] as const) {
    const name = label === '' ? base : `${base}/${label}`
    const proof = decodeProof(new Uint8Array(await (await get(`v1/entries/${index}/proof?log=${name}`)).arrayBuffer()))
    assert.equal(verifyProof(crypto, proof, signersOf(name)[0]!.verifier).origin, name)
    const below = label === '' ? '' : `${label}/`
    const checkpoint = new Uint8Array(await (await get(`${below}checkpoint`)).arrayBuffer())
    assert.deepEqual(checkpoint, checkpointOf(folder, label))
  }
  assert.match((await get('2027/tile/entries/000.p/7')).headers.get('cache-control')!, /immutable/)
  for (const path of ['2028/checkpoint', '2027/tile/../../auditors.json', '20277/checkpoint', '2027/checkpoint/x'])
    assert.equal((await get(path)).status, 404, path)
  const { logs: all } = (await (await get('logs')).json()) as {
    logs: { path: string; size: number; closed: boolean }[]
  }
  assert.deepEqual(
    all.map(({ path, size, closed }) => [path, size, closed]),
    [
      ['/audit/', 305, true],
      ['/audit/2027/', 7, true],
      ['/audit/2029/', 2, false],
    ],
  )
}

onBothDialects('the logs of several years', (open) => {
  test('follow each other: the last entry of one names the next, whose first one says what it held', async () => {
    await using database = await open()
    const folder = newFolder()
    const first = life(database, folder, in2026!)
    await first.add(300)
    assert.equal(await first.run(), undefined)
    const kept = checkpointOf(folder, '')
    // Some happened before the turn and are put into the log after it.
    await first.add(4)
    const second = life(database, folder, in2027!)
    await second.add(5)
    await second.run()
    const old = await verified(folder, '', kept)
    assert.equal(old.entries.length, 305)
    const [closing] = old.entries.slice(-1)
    assert.deepEqual([closing!.type, closing!.next], ['log.closed', `${base}/2027`])
    assert.ok(old.entries.slice(0, -1).every(({ time }) => time.startsWith('2026')))
    const fresh = await verified(folder, '2027')
    assert.deepEqual(typesOf(fresh.entries), ['log.opened', ...Array(5).fill('network.opted-in')])
    const { previous, size, root, before, keys } = fresh.entries[0]!
    assert.deepEqual({ previous, size, root, before }, { previous: base, size: 305, root: old.root, before: 305 })
    assert.deepEqual(keys, closing!.keys)

    // The old one is as it was; a year in which nothing ran has no log.
    const frozen = checkpointOf(folder, '')
    const third = life(database, folder, in2029!)
    await third.add(1)
    await third.run()
    await third.run()
    assert.deepEqual(checkpointOf(folder, ''), frozen)
    assert.equal((await verified(folder, '2027')).entries.at(-1)!.next, `${base}/2029`)
    const last = await verified(folder, '2029')
    assert.deepEqual(typesOf(last.entries), ['log.opened', 'network.opted-in'])
    assert.equal(last.entries[0]!.before, 312)
    const [row] = await database.query<{ count: number; most: number }>(
      'select count(place)::int4 as count, max(place) as most from audit.entry',
    )
    assert.deepEqual(row, { count: 314, most: 313 })
    await asked(database, folder)
    // A clock that goes back opens nothing.
    const late = life(database, folder, in2026!)
    await late.add(1)
    await late.run()
    assert.equal((await verified(folder, '2029')).entries.length, 3)
  })

  test('are whole when the service is stopped at any step of the turn', async () => {
    for (const step of auditSteps)
      for (const time of [1, 2]) {
        await using database = await open()
        const folder = newFolder()
        const first = life(database, folder, in2026!)
        await first.add(3)
        await first.run()
        await first.add(1)
        let left = time
        const interrupted = life(database, folder, in2027!)
        await interrupted.add(2)
        const { sequencer } = testSequencer(database, folder, {
          ...{ audit: interrupted.audit, years: interrupted.years },
          steps: async (at) => {
            if (at === step && --left === 0) throw new Error('interrupted')
          },
        })
        await sequencer.close()
        assert.ok(left <= 0, `${step} was not reached`)
        await life(database, folder, in2027!).run()
        const old = await verified(folder, '')
        assert.deepEqual(typesOf(old.entries).slice(-2), ['network.opted-in', 'log.closed'], step)
        const { entries } = await verified(folder, '2027')
        assert.deepEqual(typesOf(entries), ['log.opened', 'network.opted-in', 'network.opted-in'], step)
        assert.deepEqual([entries[0]!.root, entries[0]!.size], [old.root, 5])
      }
  })

  test('are taken up again by a database from a backup of the year before', async () => {
    await using database = await open()
    const folder = newFolder()
    const first = life(database, folder, in2026!)
    await first.add(20)
    await first.run()
    // In the backup, these wait.
    await first.add(3)
    const restore = await backup(database)
    await first.add(5)
    const second = life(database, folder, in2027!)
    await second.add(7)
    await second.run()
    const [old, fresh] = [checkpointOf(folder, ''), checkpointOf(folder, '2027')]
    const before = await verified(folder, '2027')
    await restore()
    await second.add(2)
    assert.equal(await second.run(), undefined)
    assert.deepEqual(checkpointOf(folder, ''), old)
    const { entries } = await verified(folder, '2027', fresh)
    assert.deepEqual(entries.slice(0, 8), before.entries)
    assert.deepEqual(typesOf(entries.slice(8)).sort(), [
      'log.taken-up',
      'log.taken-up',
      'network.opted-in',
      'network.opted-in',
    ])
    const [row] = await database.query<{ count: number; most: number }>(
      'select count(place)::int4 as count, max(place) as most from audit.entry',
    )
    assert.deepEqual(row, { count: 41, most: 40 })
  })

  test('are not gone on with where the log of a year before is gone, or another one', async () => {
    await using database = await open()
    const folder = newFolder()
    const first = life(database, folder, in2026!)
    await first.add(3)
    await first.run()
    const early = newFolder()
    cpSync(folder, early, { recursive: true })
    const second = life(database, folder, in2027!)
    await second.run()
    const lost = newFolder()
    cpSync(join(folder, '2027'), join(lost, '2027'), { recursive: true })
    assert.equal(
      await life(database, lost, in2027!)
        .run()
        .catch(() => 'published-missing'),
      'published-missing',
    )
    cpSync(join(folder, '2027'), join(early, '2027'), { recursive: true })
    const { sequencer } = testSequencer(database, early, { years: life(database, early, in2027!).years })
    await sequencer.close()
    assert.equal(sequencer.refused?.code, 'published-behind')
    assert.equal(isStoreError(sequencer.refused), false)
  })
})
