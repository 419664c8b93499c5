/** Receipts, typing, mentions and capabilities between devices of the messenger. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Receipt } from '../src/client/index.ts'
import { capabilityDocument, textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { expectTexts, listen, type Tap, type TestDevice, testProvider, until } from './support/provider.ts'

type Provider = Awaited<ReturnType<typeof testProvider>>
const text = (plain: string) => textMessage({ plain })
const settings = { receiptDelay: 20, typingEvery: 10, typingShown: 200 }

/** Two accounts and a room in which both have accepted. */
async function pair(provider: Provider, tap: Tap = {}) {
  const alice = await provider.register('alice', { settings, tap })
  const bob = await provider.register('bob', { settings })
  const room = await alice.device.createDirectRoom(bob.device.address)
  await until('the room at bob', async () => (await bob.device.room(room))?.joined === true)
  await bob.device.accept(room)
  await until('the answer', async () => (await alice.device.room(room))?.answered === true)
  return { alice, bob, room }
}

function receiptsOf({ device }: TestDevice): Receipt[] {
  const receipts: Receipt[] = []
  device.on('receipt', (receipt) => void receipts.push(receipt))
  return receipts
}
function typingOf({ device }: TestDevice): string[] {
  const heard: string[] = []
  device.on('typing', ({ account, on }) => void heard.push(`${account} ${on}`))
  return heard
}

describe('receipts', () => {
  test('say that messages have come and were read, many in one report', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    const [receipts, heard] = [receiptsOf(alice), listen(bob.device)]
    const sent = []
    for (const word of ['1', '2', '3', '4', '5']) sent.push(await alice.device.send(room, text(word)))
    await expectTexts(heard, ['1', '2', '3', '4', '5'])
    const hex = (ids: readonly Uint8Array[]) => ids.map((id) => Buffer.from(id).toString('hex'))
    const all = hex(sent.map(({ messageId }) => messageId))
    const delivered = () =>
      hex(receipts.flatMap(({ status, messageIds }) => (status === 'delivered' ? messageIds : [])))
    await until('all delivered', () => delivered().length >= 5)
    assert.deepEqual(delivered(), all)
    assert.ok(receipts.every(({ account, own }) => account === bob.device.address && !own))

    await bob.device.markRead(room, sent[2]!.messageId)
    await bob.device.markRead(room, sent[4]!.messageId)
    await until('it was read', () => receipts.some(({ status }) => status === 'read'))
    const read = receipts.filter(({ status }) => status === 'read')
    assert.deepEqual(hex(read.flatMap(({ messageIds }) => messageIds)), [all[4]])
  })

  test('of more messages than one report holds leave none of them out', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    const receipts = receiptsOf(alice)
    await bob.crash()
    const words = Array.from({ length: 400 }, (_, i) => ({ content: text(`${i}`) }))
    const sent = await alice.device.sendAll(room, words)
    await Promise.all(sent.map(({ accepted }) => accepted))
    // So long between two reports that all of it is caught up with in one time.
    const slow = { settings: { ...settings, receiptDelay: 1_000 } }
    await provider.reopen(bob.storage, slow)
    const hex = (ids: readonly Uint8Array[]) => ids.map((id) => Buffer.from(id).toString('hex')).sort()
    const told = () => receipts.flatMap(({ messageIds }) => messageIds)
    await until('all of them', () => told().length >= words.length)
    assert.deepEqual(hex(told()), hex(sent.map(({ messageId }) => messageId)))
    assert.ok(receipts.every(({ messageIds }) => messageIds.length <= 128))
  })

  test('that are owed when a device ends are sent when it is back', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    await bob.crash()
    let gone = false
    const dying = await provider.reopen(bob.storage, {
      settings,
      before: (device) =>
        void device.on('message', ({ own }) => {
          gone = !own
        }),
      // With the message it keeps that it owes a receipt, and nothing more.
      dies: (at) => at === 'after' && gone,
    })
    const receipts = receiptsOf(alice)
    await (await alice.device.send(room, text('hello'))).accepted
    await until('the message', () => gone)
    await dying.crash()
    assert.equal(receipts.length, 0)
    await provider.reopen(bob.storage, { settings })
    await until('the receipt', () => receipts.length === 1)
  })

  test('of what was read go to the own devices alone, when the account wishes that on any of them', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    const tablet = await provider.link(bob.device, { settings })
    await until('the room on the tablet', async () => (await tablet.device.room(room))?.joined === true)
    await until('the self room', async () =>
      (await tablet.device.rooms()).some(({ kind, joined }) => kind === 'self' && joined),
    )
    const [atAlice, atBob, heard] = [receiptsOf(alice), receiptsOf(bob), listen(tablet.device)]
    const { messageId } = await alice.device.send(room, text('secret reader?'))
    await expectTexts(heard, ['secret reader?'])
    await bob.device.setReadReceipts(false)
    await until('the setting on the tablet', async () => !(await tablet.device.settings()).readReceipts)
    await tablet.device.markRead(room, messageId)
    await until('the read mark on the phone', () => atBob.some(({ status, own }) => status === 'read' && own))
    assert.deepEqual(atBob.find(({ status }) => status === 'read')?.messageIds, [messageId])
    assert.equal(atBob.find(({ status }) => status === 'read')?.room, room)
    assert.ok(atAlice.every(({ status }) => status === 'delivered'))
    // Linked afterwards, a device knows the setting.
    const third = await provider.link(bob.device, { settings })
    await until('the setting', async () => !(await third.device.settings()).readReceipts)
  })
})

describe('typing', () => {
  test('is shown to the other account, ends by itself and with a message, and leaves nothing behind', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    const [heard, own] = [typingOf(bob), typingOf(alice)]
    const entries = async () =>
      (await provider.database.query('select count(*)::int4 as n from hub.log')) as [{ n: number }]
    const [{ n: before }] = await entries()
    const by = alice.device.address
    await alice.device.typing(room)
    await until('typing and its end', () => heard.length >= 2)
    assert.deepEqual(heard, [`${by} true`, `${by} false`])
    await alice.device.typing(room)
    await until('typing', () => heard.length === 3)
    await alice.device.typing(room, false)
    await until('its end', () => heard.length === 4)
    const [{ n: after }] = await entries()
    assert.equal(after, before)
    await new Promise((resolve) => setTimeout(resolve, 15))
    await alice.device.typing(room)
    await until('typing', () => heard.length === 5)
    await alice.device.send(room, text('done'))
    await until('its end', () => heard.length === 6)
    assert.deepEqual(own, [])
  })

  test('reaches nobody before a request is accepted, nor where one has blocked the other', async () => {
    await using provider = await testProvider()
    const asked: string[] = []
    const alice = await provider.register('alice', {
      settings,
      tap: {
        up(frame) {
          asked.push(frame.request.case ?? '')
          return frame
        },
      },
    })
    const bob = await provider.register('bob', { settings })
    const heard = typingOf(bob)
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the room at bob', async () => (await bob.device.room(room))?.joined === true)
    await alice.device.typing(room)
    await bob.device.typing(room)
    await bob.device.accept(room)
    await until('the answer', async () => (await alice.device.room(room))?.answered === true)
    await bob.device.block(alice.device.address)
    await new Promise((resolve) => setTimeout(resolve, 15))
    await alice.device.typing(room)
    assert.equal(asked.filter((each) => each === 'sendEphemeral').length, 2)
    await bob.device.block(alice.device.address, false)
    await new Promise((resolve) => setTimeout(resolve, 15))
    await alice.device.typing(room)
    await until('typing', () => heard.length > 0)
    assert.equal(heard.filter((each) => each.endsWith('true')).length, 1)
  })

  test('that was changed, brought again, or comes from a device that is gone is passed over', async () => {
    await using provider = await testProvider()
    const frames: Uint8Array[] = []
    const { alice, bob, room } = await pair(provider, {
      up(frame) {
        if (frame.request.case === 'sendEphemeral') frames.push(frame.request.value.frame)
        return frame
      },
    })
    const [heard, faults] = [typingOf(bob), listen(bob.device)]
    const say = async () => {
      await new Promise((resolve) => setTimeout(resolve, 15))
      await alice.device.typing(room)
    }
    await say()
    await until('typing and its end', () => heard.length === 2)
    const [first] = frames
    /** As the provider can: to all readers, in the name of nobody. */
    const present = (frame: Uint8Array) =>
      provider.hub.sendEphemeral(
        { account: alice.device.address, device: alice.device.deviceId, deviceKind: 'primary', accountKind: 'person' },
        room,
        frame,
      )
    const bent = (place: number) => first!.map((byte, i) => (i === place ? byte ^ 1 : byte))
    await present(first!)
    for (let place = 0; place < first!.length; place += 7) await present(bent(place))
    await present(new Uint8Array(1024).fill(0x9f))
    await assert.rejects(present(new Uint8Array(1025)), { code: 'too-large' })
    await say()
    await until('the next one', () => heard.length >= 3)
    assert.equal(heard.filter((each) => each.endsWith('true')).length, 2)
    assert.deepEqual(faults.faults, [])
  })

  test('too often is dropped, and keeps no message from being sent', async () => {
    await using provider = await testProvider()
    const { alice, bob, room } = await pair(provider)
    const heard = listen(bob.device)
    const fast = { ...settings, typingEvery: 0 }
    await alice.crash()
    const again = await provider.reopen(alice.storage, { settings: fast })
    await again.device.ready()
    const faults = listen(again.device)
    for (let i = 0; i < 60; i++) await again.device.typing(room)
    await (await again.device.send(room, text('typed a lot'))).accepted
    await expectTexts(heard, ['typed a lot'])
    assert.deepEqual(faults.faults, [])
  })
})

describe('capabilities', () => {
  test('of a room are the least of what its members can have', async () => {
    await using provider = await testProvider()
    const { alice, room } = await pair(provider)
    const between = await alice.device.capabilities(room)
    assert.deepEqual([between.networks, between.features.edit.level], [['messenger'], 'full'])
    assert.equal(between.features.call.level, 'rejected')

    const capabilities = capabilityDocument(
      'matrix',
      { text: { level: 'full' }, formatting: { level: 'partial', code: 'formatting' } },
      { textBytes: 1000 },
    )
    const claims = { kind: 'edge', operator: 'bridge.example', network: 'matrix' }
    const edge = await provider.register('edge', { claims, capabilities })
    await alice.device.setReachable('matrix', true)
    const crossed: RoomId = await alice.device.createDirectRoom(edge.device.address)
    await until('the room at the edge', async () => (await edge.device.room(crossed))?.joined === true)
    const before = await alice.device.capabilities(crossed)
    assert.deepEqual([before.features.text.level, before.features.formatting.level], ['full', 'rejected'])
    await edge.device.accept(crossed)
    await until('what the edge says', async () => {
      return (await alice.device.capabilities(crossed)).features.formatting.code === 'formatting'
    })
    const after = await alice.device.capabilities(crossed)
    assert.deepEqual([after.networks, after.limits], [['matrix', 'messenger'], { textBytes: 1000 }])
    assert.deepEqual(after.features.edit, { level: 'rejected', code: 'not-supported' })
    assert.deepEqual(await edge.device.capabilities(crossed), after)
  })
})
