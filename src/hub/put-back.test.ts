import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginIncarnation } from '../store/index.ts'
import { onBothDialects } from '../store/testing.ts'
import { putBackHub } from './put-back.ts'
import { openWorld } from './testing/world.ts'

onBothDialects('a log that was put back from a backup twice', (open) => {
  test('knows what is lost each time, and delivers what lies between', async () => {
    const database = await open()
    await using world = openWorld(database, {})
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await world.hub.answerRoom(bob.asker, room, true)
    await alice.receive()
    await bob.receive()
    const [{ no }] = (await database.query<{ no: number }>('select no from hub.room')) as [{ no: number }]
    const nextSeq = async () =>
      (await database.query<{ next_seq: number }>('select next_seq from hub.room'))[0]!.next_seq
    const waiting = async () => (await world.hub.readRoom(bob.deviceId, no, 0)).entries.map(({ seq }) => seq)
    const putBack = () =>
      database.transaction(async (tx) => {
        await putBackHub(tx)
        return beginIncarnation(tx)
      })

    await alice.send(room, 'first life')
    const first = (await nextSeq()) - 1
    assert.equal(await putBack(), 1)
    const second = await nextSeq()
    for (const text of ['one', 'two', 'three']) await alice.send(room, text)
    assert.equal(await putBack(), 2)
    const third = await nextSeq()
    assert.ok(third > second + 3)
    await alice.send(room, 'third life')

    const [summary] = await world.hub.listRooms(bob.asker)
    assert.deepEqual(summary?.lost, [
      { after: first, before: second },
      { after: second + 2, before: third },
    ])
    // Bob has what was lost after the first backup; then some of what came in the second life, which is not lost.
    await world.hub.acknowledge(bob.deviceId, [{ room, seq: first + 3 }], [])
    assert.deepEqual(await waiting(), [second, second + 1, second + 2, third])
    await world.hub.acknowledge(bob.deviceId, [{ room, seq: second + 1 }], [])
    assert.deepEqual(await waiting(), [second + 2, third])
    await world.hub.acknowledge(bob.deviceId, [{ room, seq: second + 9 }], [])
    assert.deepEqual(await waiting(), [third])
    // With the room goes what was noted of it.
    await world.hub.leaveRoom(alice.asker, room)
    await world.hub.leaveRoom(bob.asker, room)
    for (const table of ['room', 'lost'])
      assert.deepEqual(await database.query(`select 1 from hub.${table}`), [], table)
    await database.close()
  })

  test('gives no number and no name again when the same backup is put back a second time', async () => {
    const database = await open()
    await using world = openWorld(database, {})
    const [alice, bob] = [await world.device(), await world.device()]
    await alice.create('direct', bob.account)
    const lives: { no: number; next_seq: number }[] = []
    for (const clock of [1_800_000_000_000, 1_800_000_060_000]) {
      await database
        .transaction(async (tx) => {
          await tx.query(`create or replace function now_ms() returns int8 language sql as 'select ${clock}::int8'`)
          await putBackHub(tx)
          await beginIncarnation(tx)
          const [life] = await tx.query<{ no: number; next_seq: number }>(
            'select (select max(no) from incarnation) as no, next_seq from hub.room',
          )
          lives.push(life!)
          throw new Error('as the backup was')
        })
        .catch((error: Error) => assert.equal(error.message, 'as the backup was'))
    }
    const [one, two] = lives as [(typeof lives)[0], (typeof lives)[0]]
    assert.ok(two.no > one.no)
    assert.ok(two.next_seq > one.next_seq + 2 ** 20)
    assert.ok(Number.isSafeInteger(two.next_seq))
    await database.close()
  })
})
