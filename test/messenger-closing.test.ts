import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Device } from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { expectTexts, listen, testProvider, until } from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

test('a message that is on its way when its device is closed goes out the next time', async () => {
  const [alice, bob] = [await provider.register('alice'), await provider.register('bob')]
  const heardByBob = listen(bob.device)
  const room = await alice.device.createDirectRoom(bob.device.address)
  await until('the room at the other side', async () => (await bob.device.room(room))?.joined === true)
  const refusals: string[] = []
  alice.device.on('refused', ({ error }) => void refusals.push(error.code))
  let closing: Promise<void> | undefined
  alice.tap.up = (frame) => {
    if (frame.request.case !== 'submitMessage') return frame
    closing ??= alice.device.close()
    return undefined
  }
  const { accepted } = await alice.device.send(room, textMessage({ plain: 'late' }))
  await assert.rejects(accepted, { name: 'ClientError', code: 'closed' })
  await closing
  assert.deepEqual(refusals, [])
  await provider.reopen(alice.storage)
  await expectTexts(heardByBob, ['late'])
})

for (const [how, over] of [
  ['left', (device, room) => device.leave(room)],
  ['declined', (device, room) => device.decline(room)],
] as const satisfies [string, (device: Device, room: RoomId) => Promise<void>][])
  test(`a message that waits when its account has ${how} on another device is refused, in words`, async () => {
    const [anna, ben] = [await provider.register(`anna ${how}`), await provider.register(`ben ${how}`)]
    const tablet = await provider.link(anna.device)
    const room = await ben.device.createDirectRoom(anna.device.address)
    for (const { device } of [anna, tablet])
      await until('the room on each device', async () => (await device.room(room))?.joined === true)
    if (how === 'left') await anna.device.accept(room)
    await until('one standing', async () => {
      const [here, there] = [await anna.device.room(room), await tablet.device.room(room)]
      return here?.standing === there?.standing
    })
    const refusals: string[] = []
    anna.device.on('refused', ({ messageId, error }) => void (messageId && refusals.push(error.code)))
    // Nothing of hers gets through until the other device has ended it.
    anna.tap.up = (frame) => (frame.request.case === 'submitMessage' ? undefined : frame)
    const { accepted } = await anna.device.send(room, textMessage({ plain: 'too late' }))
    const refused = assert.rejects(accepted, { name: 'ClientError', code: 'ended' })
    await over(tablet.device, room)
    anna.cut()
    await refused
    assert.equal(refusals[0], 'ended')
    await assert.rejects(anna.device.send(room, textMessage({ plain: 'later still' })), { code: 'not-allowed' })
    await until('nothing that waits', () => anna.device.resting())
  })
