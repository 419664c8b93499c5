import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { freshDatabase } from '../store/testing.ts'
import { openInterop, threeMonthsFrom } from './interop.ts'
import { clockOf } from './reading/index.ts'
import { testAudit } from './testing/world.ts'

const at = (text: string) => Date.parse(text)

test('three months end with the same day, or the last one of a shorter month', () => {
  for (const [from, until] of [
    ['2026-01-15T00:00:00Z', '2026-04-15T23:59:59.999Z'],
    ['2026-01-15T23:00:00Z', '2026-04-15T23:59:59.999Z'],
    ['2026-11-30T12:00:00Z', '2027-02-28T23:59:59.999Z'],
    ['2027-11-30T12:00:00Z', '2028-02-29T23:59:59.999Z'],
    ['2026-12-31T12:00:00Z', '2027-03-31T23:59:59.999Z'],
  ])
    assert.equal(new Date(threeMonthsFrom(at(from!))).toISOString(), until)
})

test('requests of other providers and what came of them are entries, and give the clock', async () => {
  await using database = await freshDatabase()
  let now = at('2026-11-22T10:00:00Z')
  const clock = () => now
  const audit = testAudit(clock)
  const interop = openInterop({ database, crypto, record: audit.record, clock })
  assert.equal(await interop.received('not a domain', now), 'bad-provider')
  assert.equal(await interop.received('rival.example', now + 1), 'bad-time')
  const asked = async (provider: string, received: number) => {
    const answer = await interop.received(provider, received)
    assert.ok(typeof answer === 'object')
    return answer.request
  }
  const one = await asked('rival.example', at('2026-11-01T09:00:00Z'))
  const two = await asked('slow.example', at('2026-08-01T09:00:00Z'))
  await asked('open.example', at('2026-11-20T09:00:00Z'))
  assert.equal(await interop.answered(two, 'refused'), 'reason-needed')
  assert.equal(await interop.answered(two, 'refused', 'Because of them'), 'reason-needed')
  now = at('2026-12-01T10:00:00Z')
  assert.equal(await interop.answered(one, 'operational'), 'answered')
  assert.equal(await interop.answered(one, 'operational'), 'not-open')
  assert.equal(await interop.answered(two, 'refused', 'security'), 'answered')

  const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
  const entries = rows.map(({ body }) => JSON.parse(Buffer.from(body).toString()))
  assert.equal(entries.length, 5)
  assert.deepEqual(
    clockOf(entries, at('2027-03-02T00:00:00Z')).map(({ provider, outcome, days, late }) => [
      provider,
      outcome,
      days,
      late,
    ]),
    [
      ['slow.example', 'refused', 122, true],
      ['rival.example', 'operational', 30, false],
      ['open.example', undefined, 101, true],
    ],
  )
  assert.deepEqual(
    (await interop.list()).map(({ provider, outcome }) => [provider, outcome]),
    [
      ['slow.example', 'refused'],
      ['rival.example', 'operational'],
      ['open.example', null],
    ],
  )
})
