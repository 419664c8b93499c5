import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onBothDialects } from '../../store/testing.ts'
import { refusal } from '../testing/values.ts'
import { openWorld } from '../testing/world.ts'

onBothDialects('rooms', (open) => {
  test('a message goes from one account to another through a direct room', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    assert.deepEqual(await alice.receive(), [])
    await alice.send(room, 'hello')
    assert.deepEqual(await bob.receive(), ['hello'])
    await bob.send(room, 'good day')
    assert.deepEqual(await alice.receive(), ['good day'])
    assert.deepEqual(await bob.receive(), [])
  })

  test('the idempotency key is looked at before the epoch', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await alice.receive()
    const message = await alice.message(room, 'once')
    const first = await world.hub.submitMessage(alice.asker, message)
    const commit = await alice.commit(room)
    const committed = await world.hub.submitCommit(alice.asker, commit)
    assert.deepEqual(await world.hub.submitMessage(alice.asker, message), first)
    assert.deepEqual(await world.hub.submitCommit(alice.asker, commit), committed)
    assert.deepEqual(await bob.receive(), ['once'])
    await assert.rejects(
      world.hub.submitMessage(alice.asker, { ...message, key: new Uint8Array(16) }),
      refusal('wrong-epoch', { epoch: 2, retry: true }),
    )
  })
})
