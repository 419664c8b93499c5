import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openRate } from './rates.ts'

test('each key has its own tokens, which come back with time and never pile up', () => {
  let now = 0
  const rate = openRate(3, () => now)
  const taken = (key: string, times: number) =>
    Array.from({ length: times }, () => rate.take(key)).filter(Boolean).length
  assert.equal(taken('a', 5), 3)
  assert.equal(taken('b', 1), 1)
  now += 20_000
  assert.equal(taken('a', 5), 1)
  now += 3_600_000
  assert.equal(taken('a', 5), 3)
  // A clock that is set back takes nothing away, and time goes on from there.
  now -= 3_600_000
  assert.equal(taken('a', 5), 0)
  now += 20_000
  assert.equal(taken('a', 5), 1)
})

test('keys that nobody uses are forgotten', () => {
  const rate = openRate(1, () => 0)
  assert.equal(rate.take('first'), true)
  assert.equal(rate.take('first'), false)
  for (let number = 0; number < 10_000; number++) rate.take(`another ${number}`)
  assert.equal(rate.take('first'), true)
})
