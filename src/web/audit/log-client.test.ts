import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeProof, encodeVerifier, noteSigner, verifyProof } from '../../audit/log/index.ts'
import { lineOf } from '../../audit/reading/lines.ts'
import { buildLog, testSigner } from '../../audit/testing/log.ts'
import { fromUtf8, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { openLogClient, RefusedError } from './log-client.ts'
import { problemText } from './words.ts'

const entries = Array.from({ length: 6 }, (_, i) =>
  utf8(
    JSON.stringify({ type: i === 2 ? 'refusals.counted' : 'network.opted-in', time: `2026-11-0${i + 1}T00:00:00Z` }),
  ),
)
const log = buildLog(entries)
const index = (place: number) =>
  lineOf('ndjson', { log: testSigner.verifier.name, index: place, body: entries[place]! })

test('an answer that repeats entries, turns them round, or has others than were asked for is not taken', async (t) => {
  let answer: readonly number[] = []
  t.mock.method(globalThis, 'fetch', async (url: string) => {
    if (url.includes('/v1/')) return new Response(answer.map(index).join(''))
    const bytes = log.get(url.slice('base/'.length))
    return new Response(bytes ? Buffer.from(bytes) : null, { status: bytes ? 200 : 404 })
  })
  const store = { read: () => undefined, write: () => undefined }
  const client = openLogClient({ key: encodeVerifier(testSigner.verifier), credential: 'any', store, base: 'base' })
  const find = async (given: readonly number[], question = {}, after?: number) => {
    const last =
      after === undefined
        ? undefined
        : { log: testSigner.verifier.name, index: after, entry: {}, text: '', provenIn: 6 }
    answer = given
    return (await client.find(question, undefined, last)).entries.map(({ index }) => index)
  }
  const optedIn = { type: 'network.opted-in' }
  assert.deepEqual(await find([5, 4, 3], optedIn), [5, 4, 3])
  assert.deepEqual(await find([1, 3, 4], { ...optedIn, order: 'oldest' }, 0), [1, 3, 4])
  assert.deepEqual(await find([3], { from: '2026-11-04', to: '2026-11-05' }), [3])
  for (const [given, question, after] of [
    [[5, 5], optedIn],
    [[4, 5], optedIn],
    [[5, 4], { order: 'oldest' }],
    [[4, 3], optedIn, 4],
    [[4, 3], { order: 'oldest' }, 4],
    [[3, 2, 1], optedIn],
    [[3, 2], { from: '2026-11-04' }],
  ] as [number[], object, number?][])
    await assert.rejects(find(given, question, after), { code: 'malformed' }, JSON.stringify([given, question, after]))
})

test('entries of a year before are proven by what the later log says of it, and a kept checkpoint of it is held against that', async (t) => {
  const [name, later] = ['bridge.example/audit', 'bridge.example/audit/2027']
  const seed = crypto.randomBytes(32)
  // The key of the year before was another one, which the auditor does not have.
  const [one, two] = [noteSigner(crypto, name, crypto.randomBytes(32)), noteSigner(crypto, later, seed)]
  const json = (value: object) => utf8(JSON.stringify(value))
  const yearOne = [...entries, json({ type: 'log.closed', next: later })]
  const old = buildLog(yearOne, one)
  const root = fromUtf8(old.get('checkpoint')!).split('\n')[2]
  const yearTwo = [json({ type: 'log.opened', previous: name, size: 7, root, before: 7 }), entries[0]!]
  const files = new Map([...buildLog(yearTwo, two)].map(([path, bytes]) => [`2027/${path}`, bytes]))
  const line = (log: string, index: number, body: Uint8Array) => lineOf('ndjson', { log, index, body })
  const answer = [
    line(later, 1, yearTwo[1]!),
    line(later, 0, yearTwo[0]!),
    line(name, 6, yearOne[6]!),
    line(name, 0, yearOne[0]!),
  ]
  let first = old
  t.mock.method(globalThis, 'fetch', async (url: string) => {
    if (url.includes('/v1/')) return new Response(answer.join(''))
    if (url.endsWith('/logs')) return Response.json({ logs: [{ log: name }, { log: later }] })
    const path = url.slice('base/'.length)
    const bytes = files.get(path) ?? first.get(path)
    return new Response(bytes ? Buffer.from(bytes) : null, { status: bytes ? 200 : 404 })
  })
  const kept = new Map<string, { note: string; at: number }>()
  const store = {
    read: (of: string) => kept.get(of),
    write: (of: string, note: { note: string; at: number }) => void kept.set(of, note),
  }
  const open = (key = encodeVerifier(two.verifier)) => openLogClient({ key, credential: 'any', store, base: 'base' })
  const { entries: found } = await open().find({})
  assert.deepEqual(
    found.map(({ log, index, provenIn }) => [log, index, provenIn]),
    [
      [later, 1, 2],
      [later, 0, 2],
      [name, 6, 7],
      [name, 0, 7],
    ],
  )
  assert.deepEqual([...kept.keys()], [later])
  const proof = decodeProof(await open().proof(found[2]!))
  assert.equal(verifyProof(crypto, proof, one.verifier).size, 7)
  // What this browser has seen of the year before has to be a beginning of what it was at its end.
  const seen = (signed: readonly Uint8Array[]) =>
    kept.set(name, { note: fromUtf8(buildLog(signed, noteSigner(crypto, name, seed)).get('checkpoint')!), at: 0 })
  seen(entries.slice(0, 3))
  assert.equal((await open().refresh()).origin, later)
  seen([...entries.slice(0, 2), utf8('{}')])
  await assert.rejects(open().refresh(), { code: 'inconsistent' })
  kept.clear()
  // The files of the year before were exchanged, by whoever has its key.
  first = buildLog([...entries.slice(1), yearOne[6]!, yearOne[6]!], one)
  await assert.rejects(open().find({}), { code: 'inconsistent' })
})

test('a key or a credential that cannot be one is said to be that, and the service is not asked', async (t) => {
  let answer: () => Response = () => assert.fail('asked')
  t.mock.method(globalThis, 'fetch', async () => answer())
  const store = { read: () => undefined, write: () => undefined }
  const good = encodeVerifier(testSigner.verifier)
  const open = (key: string, credential = 'any') => openLogClient({ key, credential, store, base: 'base' })
  const last = good.at(-1) === 'A' ? 'B' : 'A'
  for (const key of ['rubbish', '', `${good.slice(0, -1)}${last}`, good.replace('bridge', 'fridge')]) {
    assert.throws(() => open(key), { why: 'key' }, key)
  }
  assert.match(problemText(new RefusedError('key')), /key cannot be used/)
  for (const credential of ['silta_auditor_ä', 'two words', '“any”', ''])
    assert.throws(() => open(good, credential), { why: 'characters' }, credential)

  // What is refused with the same status is told apart.
  for (const [code, why] of [
    ['out-of-scope', 'scope'],
    ['credential-changed', 'changed'],
  ] as const) {
    answer = () => Response.json({ code }, { status: 403 })
    await assert.rejects(open(good).refresh(), { why })
  }
  answer = () => new Response('<html>', { status: 403 })
  await assert.rejects(open(good).refresh(), { why: 'scope' })
})
