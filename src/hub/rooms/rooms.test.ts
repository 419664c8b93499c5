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

  test('messages that are submitted together stand in their order, each once, or none of them does', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await alice.receive()
    const [one, two, three] = [
      await alice.message(room, 'one'),
      await alice.message(room, 'two'),
      await alice.message(room, 'three'),
    ]
    const first = await world.hub.submitMessage(alice.asker, one)
    const places = await world.hub.submitMessages(alice.asker, { room, messages: [one, two, three] })
    assert.deepEqual(
      places.map(({ seq }) => seq - first.seq),
      [0, 1, 2],
    )
    assert.deepEqual(await world.hub.submitMessages(alice.asker, { room, messages: [two, one] }), [
      places[1],
      places[0],
    ])
    assert.deepEqual(await bob.receive(), ['one', 'two', 'three'])

    const late = await alice.message(room, 'late')
    const large = { ...(await alice.message(room, 'large')), message: new Uint8Array(100_000) }
    const both = world.hub.submitMessages(alice.asker, { room, messages: [late, large] })
    await assert.rejects(both, refusal('too-large'))
    const twice = world.hub.submitMessages(alice.asker, { room, messages: [late, late] })
    await assert.rejects(twice, refusal('malformed'))
    assert.deepEqual(await bob.receive(), [])
  })
})
