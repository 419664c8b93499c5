import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLatest } from './latest.ts'

describe('the newest of each key', () => {
  const gate = () => Promise.withResolvers<void>()

  it('is all that is worked on, however much came meanwhile', async () => {
    const open = gate()
    const done: string[] = []
    const latest = createLatest<number>({
      async work(key, value) {
        if (value === 0) await open.promise
        done.push(`${key} ${value}`)
      },
      ...{ most: 10, atOnce: 2, onFault: assert.fail },
    })
    for (let value = 0; value < 1000; value++) assert.ok(latest.put('a', value))
    assert.ok(latest.put('b', 1))
    open.resolve()
    await latest.idle()
    assert.deepEqual(done, ['b 1', 'a 0', 'a 999'])
  })

  it('refuses more keys than may wait, and only those', async () => {
    const open = gate()
    const done: string[] = []
    const latest = createLatest<number>({
      async work(key) {
        await open.promise
        done.push(key)
      },
      ...{ most: 2, atOnce: 1, onFault: assert.fail },
    })
    const taken = ['a', 'b', 'c', 'd', 'b', 'a'].map((key, value) => latest.put(key, value))
    // `a` is worked on already, `b` and `c` wait; a newer `a` would be a third that waits.
    assert.deepEqual(taken, [true, true, true, false, true, false])
    open.resolve()
    await latest.idle()
    assert.deepEqual(done, ['a', 'b', 'c'])
  })

  it('goes on after a fault', async () => {
    const faults: unknown[] = []
    const done: string[] = []
    const latest = createLatest<number>({
      async work(key) {
        if (key === 'bad') throw new Error('expected')
        done.push(key)
      },
      ...{ most: 5, atOnce: 1, onFault: (error) => faults.push(error) },
    })
    latest.put('bad', 1)
    latest.put('good', 1)
    await latest.idle()
    assert.equal(faults.length, 1)
    assert.deepEqual(done, ['good'])
  })
})
