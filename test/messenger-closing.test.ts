import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { textMessage } from '../src/content/index.ts'
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
