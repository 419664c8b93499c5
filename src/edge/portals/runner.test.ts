import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createRunner } from './runner.ts'

const options = { atOnce: 2, retryMs: 5, retryMaxMs: 20, onFault: () => {} }

test('a key runs once at a time, and once more when it is woken meanwhile', async () => {
  let running = 0
  let runs = 0
  const runner = createRunner({
    ...options,
    async work() {
      running += 1
      runs += 1
      assert.equal(running, 1)
      await pause(5)
      running -= 1
      return undefined
    },
  })
  for (let i = 0; i < 5; i += 1) runner.wake(7)
  await pause(1)
  runner.wake(7)
  runner.wake(7)
  await runner.idle()
  assert.equal(runs, 2)
})

test('no more keys than allowed run together, and all of them do', async () => {
  let running = 0
  let most = 0
  const done = new Set<number>()
  const runner = createRunner({
    ...options,
    async work(key) {
      running += 1
      most = Math.max(most, running)
      await pause(1)
      running -= 1
      done.add(key)
      return undefined
    },
  })
  for (let key = 0; key < 10; key += 1) runner.wake(key)
  await runner.idle()
  assert.equal(most, 2)
  assert.equal(done.size, 10)
})

test('what fails is tried again, what asks for a later time runs then', async () => {
  let attempts = 0
  const faults: unknown[] = []
  const runner = createRunner({
    ...options,
    onFault: (error) => faults.push(error),
    async work() {
      attempts += 1
      if (attempts < 3) throw new Error('not yet')
      return attempts < 5 ? { againInMs: 1 } : undefined
    },
  })
  runner.wake(1)
  for (let i = 0; i < 200 && attempts < 5; i += 1) await pause(5)
  assert.equal(attempts, 5)
  assert.equal(faults.length, 2)
})

test('stopping waits for what runs and starts nothing more', async () => {
  const runs: number[] = []
  const runner = createRunner({
    ...options,
    atOnce: 1,
    async work(key) {
      await pause(5)
      runs.push(key)
      return undefined
    },
  })
  runner.wake(1)
  runner.wake(2)
  await runner.stop()
  runner.wake(3)
  await pause(10)
  assert.deepEqual(runs, [1])
})
