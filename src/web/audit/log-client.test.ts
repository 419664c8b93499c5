import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeVerifier } from '../../audit/log/index.ts'
import { lineOf } from '../../audit/reading/lines.ts'
import { buildLog, testSigner } from '../../audit/testing/log.ts'
import { utf8 } from '../../crypto/index.ts'
import { openLogClient } from './log-client.ts'

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
    const last = after === undefined ? undefined : { index: after, entry: {}, text: '', provenIn: 6 }
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
