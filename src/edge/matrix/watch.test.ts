import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HomeserverError } from './homeserver.ts'
import { watchHomeserver } from './watch.ts'

const unreachable = () => new HomeserverError(0, 'SILTA_UNREACHABLE')
const refused = (errcode = 'M_FORBIDDEN') => new HomeserverError(403, errcode)

/** Watches while the homeserver answers so, in turn; the last of them ends it. */
async function watched(answers: readonly (HomeserverError | object)[], settings = { watchMs: 5, watchRetryMs: 1 }) {
  const happened: string[] = []
  const stop = new AbortController()
  const left = [...answers]
  const begun = performance.now()
  await watchHomeserver({
    homeserver: {
      async call<T>(_method: string, _path: string, options: { query?: Record<string, string> } = {}) {
        happened.push(options.query?.since === undefined ? 'asked' : 'held back')
        const answer = left.shift()
        if (left.length === 0) stop.abort()
        if (answer instanceof HomeserverError) throw answer
        return answer as T
      },
    },
    as: { user: '@watch:hs' },
    register: async () => void happened.push('registered'),
    settings,
    onAway: () => happened.push('away'),
    onBack: () => happened.push('back'),
    signal: stop.signal,
  })
  return { happened, ms: performance.now() - begun }
}
const position = { next_batch: 's' }

describe('a homeserver that is watched', () => {
  it('is asked to hold its answer back, and is away when that ends otherwise, until it answers again', async () => {
    const { happened } = await watched([position, position, unreachable(), unreachable(), position, position])
    assert.deepEqual(happened, [
      'registered',
      ...['asked', 'held back', 'held back', 'away', 'asked', 'asked', 'back', 'held back'],
    ])
  })

  it('is back when it refuses, and is asked for the watching user anew', async () => {
    const { happened } = await watched([position, unreachable(), refused(), refused(), position])
    assert.deepEqual(happened, [
      'registered',
      ...['asked', 'held back', 'away', 'asked', 'back', 'registered', 'asked', 'asked'],
    ])
  })

  it('is not back when something in front of it refuses that is no homeserver', async () => {
    const { happened } = await watched([unreachable(), refused('SILTA_BAD_ANSWER'), position, position])
    assert.deepEqual(happened, ['registered', 'asked', 'away', 'asked', 'asked', 'back', 'held back'])
  })

  it('is not asked without a pause when its answers say nothing', async () => {
    const { happened, ms } = await watched([{}, {}, {}, {}], { watchMs: 5, watchRetryMs: 30 })
    assert.deepEqual(happened, ['registered', 'asked', 'asked', 'asked', 'asked'])
    assert.ok(ms >= 80, `${ms} ms`)
  })

  it('is away from the start when nobody can be registered there', async () => {
    const happened: string[] = []
    const stop = new AbortController()
    await watchHomeserver({
      homeserver: { call: async <T>() => position as T },
      as: { user: '@watch:hs' },
      async register() {
        if (happened.length === 0) throw unreachable()
      },
      settings: { watchMs: 5, watchRetryMs: 1 },
      onAway: () => happened.push('away'),
      onBack() {
        happened.push('back')
        stop.abort()
      },
      signal: stop.signal,
    })
    assert.deepEqual(happened, ['away', 'back'])
  })
})
