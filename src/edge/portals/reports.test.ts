import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nodeCrypto } from '../../crypto/node.ts'
import type { PortalContext } from './context.ts'
import { EdgeError } from './errors.ts'
import type { Portal } from './portal-table.ts'
import { tellLeft } from './reports.ts'

const portal = { id: 1, account: 'mimi://silta.test/u/alice', room: 'a room', state: 'open' } as unknown as Portal

/** One message still waits for a Matrix user; the messenger takes its outcome when `accepted` says so. */
function scene(accepted: Promise<unknown>, tellLeftMs: number) {
  const waiting = [{ id: 7, outcome: { messageId: new Uint8Array(32).fill(1), outcome: 'rejected', code: 'ended' } }]
  const keys: string[] = []
  const stop = new AbortController()
  const context = {
    crypto: nodeCrypto,
    database: { transaction: async (work: (tx: object) => Promise<unknown>) => work({}) },
    users: {
      check() {},
      byAccount: async () => ({
        device: {
          async send(_room: string, _content: object, { key }: { key: Uint8Array }) {
            keys.push(Buffer.from(key).toString('hex'))
            return { accepted }
          },
        },
      }),
    },
    outbox: { holdWaiting: async () => {}, held: async () => [...waiting], done: () => waiting.splice(0) },
    messages: { eventOf: async () => undefined, unreported: async () => [] },
    counters: { count() {} },
    settings: { tellLeftMs },
    stopping: stop.signal,
  } as unknown as PortalContext
  return { context, keys, waiting, stop }
}
const never = new Promise(() => {})

describe('what a Matrix user who leaves will not get', () => {
  it('is told, and noted once the messenger has taken it', async () => {
    const s = scene(Promise.resolve(), 60_000)
    await tellLeft(s.context, portal)
    assert.equal(s.keys.length, 1)
    assert.deepEqual(s.waiting, [])
  })

  it('is no more told than a messenger that refuses it lets be', async () => {
    const s = scene(Promise.reject(new Error('refused')), 60_000)
    await tellLeft(s.context, portal)
    assert.deepEqual(s.waiting, [])
  })

  it('holds up nobody for longer than a while, and is told again under the same key should there be another time', async () => {
    const s = scene(never, 20)
    await tellLeft(s.context, portal)
    assert.equal(s.waiting.length, 1)
    await tellLeft(s.context, portal)
    assert.equal(s.keys.length, 2)
    assert.equal(new Set(s.keys).size, 1)
  })

  it('holds up no end of the edge, which does not count as told', async () => {
    const s = scene(never, 60_000)
    const telling = tellLeft(s.context, portal)
    s.stop.abort()
    await assert.rejects(telling, (error) => error instanceof EdgeError && error.code === 'closed')
    assert.equal(s.waiting.length, 1)
  })
})
