import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from '../../../test/support/fast-check.ts'
import { toBase64Url, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { Database } from '../../store/index.ts'
import { freshDatabase, onBothDialects } from '../../store/testing.ts'
import { addAuditor, openCredentials, type Scope, scopes, watchAuditors } from '../credentials.ts'
import { decodeProof, verifyProof } from '../log/index.ts'
import { facetsOf, matches, readEntry } from '../reading/facets.ts'
import type { EntryFilter } from '../reading/index.ts'
import { buildLog, testSigner } from '../testing/log.ts'
import { find } from './find.ts'
import { indexSome } from './indexer.ts'
import { openApiDocument } from './openapi.ts'
import { operations } from './operations.ts'
import { queryRoutes } from './routes.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-audit-query-'))
after(() => rmSync(home, { recursive: true, force: true }))
const origin = testSigner.verifier.name
const day = Date.UTC(2026, 10, 1)
const pseudonym = (n: number) => `${String(n).padStart(2, '0')}${'A'.repeat(20)}`

/** Entries of three kinds, one a minute, every seventh written late. */
function someEntries(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const minutes = i % 7 === 3 ? i - 3 : i
    const about =
      i % 3 === 0
        ? { type: 'refusals.counted', operation: 'lookUp', code: 'not-found', count: i }
        : {
            type: i % 3 === 1 ? 'network.opted-in' : 'network.opted-out',
            account: pseudonym(i % 5),
            network: i % 2 ? 'matrix' : 'other',
          }
    const entry = {
      ...about,
      id: toBase64Url(crypto.sha256(utf8(String(i))).subarray(0, 16)),
      time: new Date(day + minutes * 60_000).toISOString(),
      version: 1,
    }
    return utf8(JSON.stringify(entry))
  })
}

/** As the sequencer leaves them: each in its place, and the first `signed` under a checkpoint. */
async function put(database: Database, entries: readonly Uint8Array[], signed = entries.length): Promise<void> {
  for (const [place, body] of entries.entries())
    await database.query('insert into audit.entry (id, at, body, place) values ($1, 0, $2, $3)', [
      `id ${place}`,
      body,
      place,
    ])
  await database.query('insert into audit.log (origin, size, signed_size) values ($1, $2, $3)', [
    origin,
    entries.length,
    signed,
  ])
  while (await indexSome(database, origin));
}

async function indicesOf(database: Database, filter: EntryFilter, order: 'oldest' | 'newest', limit: number) {
  const found: number[] = []
  let at: number | undefined
  do {
    const page = await find(database, { filter, order, at, limit })
    found.push(...page.entries.map(({ place }) => place))
    at = page.next
  } while (at !== undefined)
  return found
}

onBothDialects('what is asked of the log', (open) => {
  test('is found as if every entry were read, in pages of any size, both ways', async () => {
    await using database = await open()
    const entries = someEntries(160)
    await put(database, entries)
    // One that was written late is not passed over.
    const until = { to: day + 64 * 60_000 }
    assert.ok((await indicesOf(database, until, 'oldest', 100)).includes(66))
    const maybe = <T>(...values: T[]) => fc.constantFrom(undefined, ...values)
    const filters = fc.record({
      from: maybe(day, day + 30 * 60_000, day + 31 * 60_000 + 500, day + 400 * 60_000),
      to: maybe(day + 64 * 60_000, day + 90 * 60_000 + 1, day),
      type: maybe('network.opted-in', 'refusals.counted', 'device.linked'),
      provider: maybe('matrix', 'other', 'nobody'),
      pseudonym: maybe(pseudonym(1), pseudonym(9)),
      outcome: maybe('done', 'refused'),
    })
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 1, max: 50 }), async (filter, limit) => {
        const expected = entries.flatMap((body, index) => (matches(facetsOf(readEntry(body)), filter) ? [index] : []))
        assert.deepEqual(await indicesOf(database, filter, 'oldest', limit), expected)
        assert.deepEqual(await indicesOf(database, filter, 'newest', limit), expected.toReversed())
      }),
      { numRuns: 40 },
    )
  })

  test('is answered from what is signed, and grows with it; the tables can be filled anew', async () => {
    await using database = await open()
    await put(database, someEntries(30), 20)
    assert.equal((await indicesOf(database, {}, 'oldest', 100)).length, 20)
    await database.query('update audit.log set signed_size = 30')
    // Several at once take turns.
    await Promise.all([1, 2, 3].map(() => indexSome(database, origin)))
    const all = await indicesOf(database, {}, 'oldest', 7)
    assert.deepEqual(
      all,
      Array.from({ length: 30 }, (_, i) => i),
    )
    for (const table of ['facet', 'facet_subject', 'facet_state']) await database.query(`delete from audit.${table}`)
    await indexSome(database, origin)
    assert.deepEqual(await indicesOf(database, {}, 'oldest', 100), all)
  })
})

describe('the auditors’ API', () => {
  const entries = someEntries(120)
  const files = buildLog(entries)
  let count = 0
  const open = async () => {
    const database = await freshDatabase()
    await put(database, entries)
    const file = join(home, `auditors-${++count}.json`)
    const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
    const { verifier } = testSigner
    const app = queryRoutes({ database, crypto, verifier, credentials, read: async (path) => files.get(path) })
    const credential = (granted: readonly Scope[] = scopes) =>
      addAuditor(crypto, file, { forMs: 60_000, scopes: granted }).credential
    const all = credential()
    const get = (path: string, as = all) =>
      app.request(`/audit/v1/${path}`, { headers: { authorization: `Bearer ${as}` } })
    return { database, app, get, credential, [Symbol.asyncDispose]: () => database.close() }
  }

  test('gives pages that a cursor follows, as JSON and as lines', async () => {
    await using api = await open()
    const seen: number[] = []
    let next: string | undefined = ''
    while (next !== undefined) {
      const answer = await api.get(`entries?type=network.opted-in&limit=15${next && `&cursor=${next}`}`)
      assert.equal(answer.status, 200)
      const page = (await answer.json()) as {
        entries: { log: string; index: number; entry: { type: string } }[]
        next?: string
      }
      for (const { log, entry } of page.entries) assert.deepEqual([log, entry.type], [origin, 'network.opted-in'])
      seen.push(...page.entries.map(({ index }) => index))
      next = page.next
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 40 }, (_, i) => i * 3 + 1),
    )

    const first = await api.get('entries?format=ndjson&limit=2&order=newest')
    assert.equal(first.headers.get('content-type'), 'application/x-ndjson')
    assert.deepEqual(
      (await first.text())
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).index),
      [119, 118],
    )
    const [, link] = /^<\/audit\/v1\/(.*)>; rel="next"$/.exec(first.headers.get('link')!)!
    assert.match(await (await api.get(link!)).text(), /"index":117,.*\n.*"index":116,/)
  })

  test('gives one entry, and the proof of it', async () => {
    await using api = await open()
    assert.equal(
      await (await api.get('entries/7')).text(),
      `{"log":"${origin}","index":7,"entry":${Buffer.from(entries[7]!)}}`,
    )
    const proof = decodeProof(new Uint8Array(await (await api.get('entries/7/proof')).arrayBuffer()))
    assert.equal(verifyProof(crypto, proof, testSigner.verifier).size, 120)
    assert.deepEqual([proof.index, proof.entry], [7, entries[7]])
    for (const path of ['entries/120', 'entries/120/proof', 'entries/-1', 'entries/x'])
      assert.equal((await api.get(path)).status, 404, path)
  })

  test('exports all that was looked for', async () => {
    await using api = await open()
    const csv = await api.get('export?format=csv&outcome=refused')
    assert.match(csv.headers.get('content-type')!, /^text\/csv/)
    const lines = (await csv.text()).trim().split('\r\n')
    assert.equal(lines.length, 41)
    assert.match(lines[1]!, new RegExp(`^${origin},0,2026-11-01T00:00:00.000Z,refusals.counted,,refused,`))
    const ocsf = await (await api.get('export?format=ocsf')).text()
    assert.equal(ocsf.trim().split('\n').length, 120)
    for (const line of ocsf.trim().split('\n')) assert.equal(JSON.parse(line).class_uid, 6003)
  })

  test('lets in so many exports at once, and the next when one is at its end', async () => {
    await using api = await open()
    const [one, two] = [await api.get('export'), await api.get('export')]
    const third = await api.get('export')
    assert.deepEqual([one.status, two.status, third.status], [200, 200, 429])
    assert.equal(third.headers.get('retry-after'), '1')
    assert.equal((await api.get('entries')).status, 200)
    await one.body!.cancel()
    await two.text()
    for (let i = 0; i < 5; i++) assert.equal((await (await api.get('export')).text()).trim().split('\n').length, 120)
  })

  test('adds up figures of parity, and tells the clock of requests', async () => {
    await using api = await open()
    const times = {
      since: '2026-11-02T10:00:00.000Z',
      until: '2026-11-02T11:00:00.000Z',
      time: '2026-11-02T11:00:00.000Z',
    }
    const more = [
      ...['own', 'own', 'matrix'].map((provider) => ({
        type: 'parity.measured',
        provider,
        accepted: 5,
        delivered: 4,
        ...times,
      })),
      {
        type: 'interop.requested',
        request: pseudonym(1),
        provider: 'rival.example',
        ...times,
        received: times.time,
        due: '2027-02-02T23:59:59.999Z',
      },
      {
        type: 'interop.answered',
        request: pseudonym(1),
        provider: 'rival.example',
        outcome: 'operational',
        time: '2026-11-12T12:00:00.000Z',
      },
    ].map((entry) => utf8(JSON.stringify(entry)))
    for (const [i, body] of more.entries())
      await api.database.query('insert into audit.entry (id, at, body, place) values ($1, 0, $2, $3)', [
        `m ${i}`,
        body,
        120 + i,
      ])
    await api.database.query('update audit.log set signed_size = 125')
    await indexSome(api.database, origin)
    const read = async (path: string) =>
      (await (await api.get(path)).json()) as Record<string, Record<string, unknown>[]>
    const { figures } = await read('parity?by=hour&from=2026-11-02')
    assert.deepEqual(
      figures!.map(({ provider, accepted, delivered }) => [provider, accepted, delivered]),
      [
        ['matrix', 5, 4],
        ['own', 10, 8],
      ],
    )
    assert.equal((await read('parity?provider=own')).figures!.length, 1)
    assert.deepEqual((await read('parity?to=2026-11-02')).figures, [])
    const { requests } = await read('requests')
    assert.deepEqual(
      requests!.map(({ provider, outcome, days, late }) => [provider, outcome, days, late]),
      [['rival.example', 'operational', 10, false]],
    )
  })

  test('refuses what it does not know, with a typed problem', async () => {
    await using api = await open()
    const { next } = (await (await api.get('entries?limit=1')).json()) as { next: string }
    const cases: Record<string, [number, string]> = {
      'entries?typ=refusals.counted': [400, 'unknown-parameter'],
      'entries?type=device.linked&type=device.unlinked': [400, 'bad-parameter'],
      'entries?type=refusals': [400, 'bad-parameter'],
      'entries?from=yesterday': [400, 'bad-parameter'],
      'entries?from=2026-11-31': [400, 'bad-parameter'],
      'entries?to=2026-02-30T10:00:00Z': [400, 'bad-parameter'],
      'parity?from=2026-02-28T24:00Z': [400, 'bad-parameter'],
      'entries?outcome=bla': [400, 'bad-parameter'],
      'entries?limit=1001': [400, 'bad-parameter'],
      'entries?limit=0': [400, 'bad-parameter'],
      'entries?cursor=AAAA': [400, 'bad-cursor'],
      [`entries?order=newest&cursor=${next}`]: [400, 'bad-cursor'],
      [`entries?outcome=refused&cursor=${next}`]: [400, 'bad-cursor'],
    }
    for (const [path, [status, code]] of Object.entries(cases)) {
      const answer = await api.get(path)
      assert.equal(answer.headers.get('content-type'), 'application/problem+json', path)
      const told = (await answer.json()) as Record<string, unknown>
      assert.deepEqual([answer.status, told.code, told.type], [status, code, `urn:silta:audit:${code}`], path)
    }
    for (const { path, scope } of Object.values(operations)) {
      const place = path.slice('/audit/v1/'.length).replace('{index}', '3')
      assert.equal((await api.get(place, 'nobody')).status, scope ? 401 : 200, path)
      assert.equal((await api.get(place, api.credential(['log']))).status, scope ? 403 : 200, path)
      assert.equal((await api.get(place)).status, 200, path)
    }
  })

  test('says what a parameter must be, as its contract does', async () => {
    await using api = await open()
    const detail = async (path: string) => ((await (await api.get(path)).json()) as { detail: string }).detail
    assert.equal(await detail('entries?limit=1001'), 'limit must be a whole number from 1 to 1000.')
    assert.equal(await detail('entries?outcome=bla'), 'outcome must be one of done, refused, operational, withdrawn.')
    assert.match(await detail('entries?from=2026-02-30'), /^from must be as 2026-11-22 or 2026-11-22T10:00:00Z/)
    assert.match(await detail('entries?pseudonym=xx'), /^pseudonym must be of the form \^/)
    assert.match(await detail('entries/3?log=no'), /^log must be as chat\.example\.org\/audit or /)
    const paths = openApiDocument().paths as Record<string, { get: { parameters: { name: string; schema: object }[] } }>
    assert.deepEqual(paths['/audit/v1/entries']!.get.parameters.find(({ name }) => name === 'limit')!.schema, {
      ...{ type: 'integer', minimum: 1, maximum: 1000, default: 100 },
    })
  })

  test('has every route and parameter in its contract', async () => {
    await using api = await open()
    const document = (await (await api.get('openapi.json', '')).json()) as ReturnType<typeof openApiDocument>
    assert.deepEqual(document, JSON.parse(JSON.stringify(openApiDocument())))
    const paths = document.paths as Record<
      string,
      { get: { parameters: { name: string; in: string; description?: string; schema?: unknown }[] } }
    >
    const served = api.app.routes.map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}'))
    assert.deepEqual([...new Set(served)].sort(), Object.keys(paths).sort())
    for (const { path, parameters } of Object.values(operations)) {
      const inQuery = paths[path]!.get.parameters.filter((each) => each.in === 'query')
      assert.deepEqual(
        inQuery.map(({ name }) => name),
        Object.keys(parameters.shape),
        path,
      )
      for (const each of inQuery) assert.ok(each.description && each.schema, `${path} ${each.name}`)
    }
  })
})
