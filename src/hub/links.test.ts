import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { onBothDialects } from '../store/testing.ts'
import { refusal } from './testing/values.ts'
import { openWorld } from './testing/world.ts'

onBothDialects('rendezvous', (open) => {
  async function world() {
    const database = await open()
    const world = openWorld(database, { links: 2, linkLeftMs: 1_000 })
    const { hub, clock } = world
    return {
      hub,
      clock,
      database,
      place: () => crypto.randomBytes(32),
      /** Until when a rendezvous is kept. */
      async keptUntil(rendezvous: Uint8Array) {
        const [row] = await database.query<{ expires_at: number }>(
          'select expires_at from hub.link where rendezvous = $1',
          [rendezvous],
        )
        return row?.expires_at
      },
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }
  const nothing = () => undefined

  test('that is left is soon free for others, however often somebody comes and goes', async () => {
    await using it = await world()
    for (let times = 0; times < 6; times++) {
      const [one, two] = [it.place(), it.place()]
      const [first, second] = [await it.hub.openLink(one, nothing), await it.hub.openLink(two, nothing)]
      await assert.rejects(it.hub.openLink(it.place(), nothing), refusal('unavailable'))
      for (const { stop } of [first, second]) stop()
      const soon = it.clock.now + 1_000
      while ((await it.keptUntil(one)) !== soon || (await it.keptUntil(two)) !== soon)
        await new Promise((resolve) => setTimeout(resolve, 5))
      it.clock.now += 1_001
    }
  })

  test('is kept for a device that comes back, with the time that it had, also when its old connection ends late', async () => {
    await using it = await world()
    const place = it.place()
    const begun = it.clock.now
    const first = await it.hub.openLink(place, nothing)
    it.clock.now += 500
    const heard: Uint8Array[] = []
    const second = await it.hub.openLink(place, (payload) => void heard.push(payload))
    first.stop()
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(await it.keptUntil(place), begun + it.hub.settings.linkMs)
    assert.equal(second.forMs, it.hub.settings.linkMs - 500)
    it.clock.now += 2_000
    await it.hub.completeLink(place, Uint8Array.of(1))
    while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  })
})
