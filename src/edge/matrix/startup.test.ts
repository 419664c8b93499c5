import assert from 'node:assert/strict'
import { it } from 'node:test'
import { catchingUp } from './startup.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

it('rooms are compared although ghosts cannot be recovered, and again after the next absence', {
  timeout: 30_000,
}, async () => {
  const stop = new AbortController()
  let recovered = 0
  let looked = 0
  const catchUp = catchingUp({
    appservice: {
      start: async () => {},
      idle: async () => {},
      wake() {},
      transactions: 0,
      // One that goes on for as long as a room cannot be compared.
      lookForGaps() {
        looked++
        return new Promise(() => {})
      },
    },
    ghosts: {
      async recover() {
        recovered++
        throw new Error('not now')
      },
    },
    log: silent,
    signal: stop.signal,
  })
  const until = async (enough: () => boolean) => {
    while (!enough()) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const first = catchUp()
  await until(() => looked === 1 && recovered > 0)
  const second = catchUp()
  await until(() => looked === 2)
  stop.abort()
  // Nobody who stops waits for either.
  await Promise.all([first, second])
  assert.equal(looked, 2)
})
