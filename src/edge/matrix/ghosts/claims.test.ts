import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Homeserver } from '../homeserver.ts'
import { type Claimed, createClaims, type Wanted } from './claims.ts'

const as = { user: '@silta_x:hs', device: 'D' }
const want = (...devices: [user: string, device: string][]): Wanted => {
  const wanted: Wanted = {}
  for (const [user, device] of devices) wanted[user] = { ...wanted[user], [device]: 'signed_curve25519' }
  return wanted
}

/** A homeserver whose answer is what `answer` says for each device asked for. */
function server(answer: (user: string, device: string) => boolean) {
  const asked: string[][] = []
  const underWay = new Map<string, number>()
  let together = 0
  const call = async (_method: string, _path: string, options: { body: { one_time_keys: Wanted } }) => {
    const wanted = options.body.one_time_keys
    const devices = Object.entries(wanted).flatMap(([user, ids]) => Object.keys(ids).map((id) => `${user} ${id}`))
    asked.push(devices)
    for (const user of Object.keys(wanted)) {
      underWay.set(user, (underWay.get(user) ?? 0) + 1)
      together = Math.max(together, underWay.get(user)!)
    }
    await sleep(2)
    for (const user of Object.keys(wanted)) underWay.set(user, underWay.get(user)! - 1)
    const keys: Claimed = {}
    for (const name of devices) {
      const [user, device] = name.split(' ') as [string, string]
      if (answer(user, device)) keys[user] = { ...keys[user], [device]: { 'signed_curve25519:A': {} } }
    }
    return { one_time_keys: keys }
  }
  const homeserver = { call } as unknown as Homeserver
  return { claims: createClaims({ homeserver, attempts: 3, retryMs: 1 }), asked, together: () => together }
}

describe('claims of one-time keys', () => {
  it('for one user go one after another, whoever makes them, and for others side by side', async () => {
    const s = server(() => true)
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        s.claims.claim(as, want(['@alice:hs', 'A'], [`@u${index}:hs`, 'B'], ['@bob:hs', 'C'])),
      ),
    )
    assert.equal(s.together(), 1)
    assert.equal(s.asked.length, 10)
  })

  it('are made again for those devices that got nothing, and for no other', async () => {
    let misses = 1
    const s = server((user) => user !== '@bob:hs' || misses-- <= 0)
    const claimed = await s.claims.claim(as, want(['@alice:hs', 'A'], ['@bob:hs', 'B']))
    assert.deepEqual(Object.keys(claimed).sort(), ['@alice:hs', '@bob:hs'])
    assert.deepEqual(s.asked, [['@alice:hs A', '@bob:hs B'], ['@bob:hs B']])
  })

  it('leave a device alone for a while that has nothing, until its user is said to have changed', async () => {
    const s = server((user) => user !== '@bob:hs')
    assert.deepEqual(await s.claims.claim(as, want(['@bob:hs', 'B'])), {})
    assert.equal(s.asked.length, 3)
    const claimed = await s.claims.claim(as, want(['@alice:hs', 'A'], ['@bob:hs', 'B']))
    assert.deepEqual(Object.keys(claimed), ['@alice:hs'])
    assert.deepEqual(s.asked[3], ['@alice:hs A'])
    s.claims.refresh(['@bob:hs'])
    await s.claims.claim(as, want(['@bob:hs', 'B']))
    assert.equal(s.asked.length, 7)
  })

  it('are asked of each homeserver apart, so that one that hangs delays nobody else', async () => {
    const s = server(() => true)
    await s.claims.claim(as, want(['@alice:hs', 'A'], ['@bob:far', 'B']))
    assert.deepEqual(s.asked.toSorted(), [['@alice:hs A'], ['@bob:far B']])
  })
})
