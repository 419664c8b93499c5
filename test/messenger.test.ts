import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Device, ReceivedMessage } from '../src/client/index.ts'
import { readText, textMessage } from '../src/content/index.ts'
import { testProvider } from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

/** Resolves when the condition holds; fails after ten seconds with what was waited for. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function listen(device: Device) {
  const texts: string[] = []
  const messages: ReceivedMessage[] = []
  const faults: string[] = []
  device.on('message', (message) => {
    const text = readText(message.content)
    if (!text) return
    messages.push(message)
    texts.push(text.plain)
  })
  device.on('fault', (error) => void faults.push(`${error.code}: ${error.message}`))
  return { texts, messages, faults }
}

describe('two accounts', () => {
  test('write to each other, end to end, after the request was accepted', async () => {
    const alice = await provider.register('alice')
    const bob = await provider.register('bob')
    const heardByBob = listen(bob.device)
    const heardByAlice = listen(alice.device)
    const requests: string[] = []
    bob.device.on('request', (room) => void requests.push(room.inviter ?? ''))

    const room = await alice.device.createDirectRoom(bob.device.address)
    const sent = await alice.device.send(room, textMessage({ plain: 'hello bob' }))
    const place = await sent.accepted
    assert.ok(place.seq > 0)
    await until('the message', () => heardByBob.texts.length === 1)
    assert.deepEqual(heardByBob.texts, ['hello bob'])
    assert.deepEqual(heardByBob.messages[0]?.messageId, sent.messageId)
    assert.deepEqual(requests, [alice.device.address])

    await bob.device.accept(room)
    await (await bob.device.send(room, textMessage({ plain: 'hello alice' }))).accepted
    await until('the answer', () => heardByAlice.texts.length === 1)
    assert.deepEqual(heardByAlice.texts, ['hello alice'])
    assert.equal(await alice.device.safetyNumber(room), await bob.device.safetyNumber(room))
    assert.deepEqual(await alice.device.posture(room), { level: 'native', readers: [], accounts: 2 })
    assert.equal((await alice.device.members(room)).length, 2)
    assert.deepEqual([heardByAlice.faults, heardByBob.faults], [[], []])
  })
})
