import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openFaultLog } from './index.ts'

test('of each kind of fault only so many are written in a minute, and the next minute again', () => {
  const written: string[] = []
  let now = 5
  const told = openFaultLog(
    (_, message) => void written.push(message),
    () => now,
  )
  for (let i = 0; i < 1000; i++) told('store', {}, 'the store')
  told('hub', {}, 'the hub')
  assert.equal(written.length, 21)
  assert.equal(written.at(-1), 'the hub')
  now += 60_000
  told('store', {}, 'the store')
  assert.equal(written.length, 22)
})

test('kinds without end are written as few as one', () => {
  let written = 0
  const told = openFaultLog(
    () => void written++,
    () => 0,
  )
  for (let i = 0; i < 1000; i++) told(`kind ${i}`, {}, 'some kind')
  assert.equal(written, 120)
})
