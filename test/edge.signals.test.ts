/** Receipts, typing, mentions and capabilities between the messenger and clients on a real homeserver. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Receipt } from '../src/client/index.ts'
import { mentionMarkdown, mentionsIn, readText, textMessage } from '../src/content/index.ts'
import {
  conversation,
  type EdgeWorld,
  edgeWorld,
  hear,
  hex,
  person,
  untilRoom,
  untilSeen,
} from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { startNio } from './support/nio.ts'
import { type TestDevice, until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('signals between the messenger and Matrix', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let alice: MatrixClient
  let people = 0

  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    await world.startEdge()
    alice = await startMatrixClient({ synapse, name: 'alice' })
  })
  after(async () => {
    await alice?.stop()
    await world?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  const talk = () => conversation(world, `person ${++people}`, alice)
  const ghostIn = async (matrixRoom: string) =>
    (await alice.members(matrixRoom)).find(({ user, membership }) => user !== alice.user && membership === 'join')!.user
  const receiptsOf = ({ device }: Pick<TestDevice, 'device'>): Receipt[] => {
    const receipts: Receipt[] = []
    device.on('receipt', (receipt) => void receipts.push(receipt))
    return receipts
  }
  /** Messages of whom it was reported that they were read, in hexadecimal. */
  const read = (receipts: readonly Receipt[]) =>
    receipts.filter(({ status, own }) => status === 'read' && !own).flatMap(({ messageIds }) => messageIds.map(hex))

  it('tells each side what the other has read', async () => {
    const bob = await talk()
    const receipts = receiptsOf(bob)
    const first = await bob.device.send(bob.room, textMessage({ plain: 'did you see this?' }))
    const seen = await alice.untilReceived('did you see this?', { room: bob.matrixRoom })
    await alice.read(bob.matrixRoom, seen.eventId)
    await until('that it was read', () => read(receipts).includes(hex(first.messageId)))

    const eventId = await alice.send(bob.matrixRoom, 'I did')
    await until('the answer', () => bob.heard.texts.includes('I did'))
    const answer = bob.heard.messages.find(({ content }) => readText(content)?.plain === 'I did')!
    await bob.device.markRead(bob.room, answer.messageId)
    const ghost = await ghostIn(bob.matrixRoom)
    await until('the receipt on Matrix', async () => (await alice.readUpTo(bob.matrixRoom, ghost)) === eventId)

    // A receipt for something that is no message stands for the messages before it.
    const second = await bob.device.send(bob.room, textMessage({ plain: 'and this?' }))
    await alice.untilReceived('and this?', { room: bob.matrixRoom })
    const own = await alice.send(bob.matrixRoom, 'reading on')
    await until('my own message', async () =>
      (await alice.messages(bob.matrixRoom)).some((each) => each.eventId === own),
    )
    await alice.read(bob.matrixRoom, own)
    await until('that all was read', () => read(receipts).includes(hex(second.messageId)))
  })

  it('tells nobody what is read in private, on either side', async () => {
    const bob = await talk()
    const receipts = receiptsOf(bob)
    await bob.device.setReadReceipts(false)
    const first = await bob.device.send(bob.room, textMessage({ plain: 'hidden' }))
    const seen = await alice.untilReceived('hidden', { room: bob.matrixRoom })
    await alice.read(bob.matrixRoom, seen.eventId, { private: true })
    const eventId = await alice.send(bob.matrixRoom, 'hidden too')
    await until('the answer', () => bob.heard.texts.includes('hidden too'))
    await bob.device.markRead(bob.room, bob.heard.messages.at(-1)!.messageId)
    // What comes later arrives; what was private would have come before it.
    await bob.device.setReadReceipts(true)
    const second = await bob.device.send(bob.room, textMessage({ plain: 'open' }))
    const open = await alice.untilReceived('open', { room: bob.matrixRoom })
    assert.notEqual(await alice.readUpTo(bob.matrixRoom, await ghostIn(bob.matrixRoom)), eventId)
    await alice.read(bob.matrixRoom, open.eventId)
    await until('that it was read', () => read(receipts).length > 0)
    assert.deepEqual(read(receipts), [hex(second.messageId)])
    assert.notDeepEqual(first.messageId, second.messageId)
  })

  it('shows who types, both ways, and when they stop', async () => {
    const bob = await talk()
    const heard: boolean[] = []
    bob.device.on('typing', ({ room, on }) => {
      if (room === bob.room) heard.push(on)
    })
    const ghost = await ghostIn(bob.matrixRoom)
    await alice.typing(bob.matrixRoom, true)
    await until('Alice typing', () => heard.at(-1) === true)
    await alice.typing(bob.matrixRoom, false)
    await until('Alice not typing', () => heard.at(-1) === false)
    await bob.device.typing(bob.room)
    await until('Bob typing', async () => (await alice.typingIn(bob.matrixRoom)).includes(ghost))
    await bob.device.typing(bob.room, false)
    await until('Bob not typing', async () => (await alice.typingIn(bob.matrixRoom)).length === 0)
  })

  it('does all of it with matrix-nio too', async () => {
    await using nora = await startNio({ synapse, name: 'nora' })
    const bob = await person(world, `person ${++people}`)
    const receipts = receiptsOf(bob)
    const heard: boolean[] = []
    bob.device.on('typing', ({ on }) => void heard.push(on))
    const room = await bob.device.conversationWith({ network: 'matrix', value: nora.user })
    const sent = await bob.device.send(room, textMessage({ plain: 'hello Nora' }))
    const seen = await nora.untilReceived('hello Nora')
    await until('acceptance', async () => (await bob.device.room(room))?.otherStanding === 'accepted')
    await nora.read(seen.room, seen.eventId)
    await until('that it was read', () => read(receipts).includes(hex(sent.messageId)))
    await nora.typing(seen.room, true)
    await until('Nora typing', () => heard.at(-1) === true)
    await nora.typing(seen.room, false)
    await until('Nora not typing', () => heard.at(-1) === false)
    const eventId = await nora.send(seen.room, 'hello Bob')
    await until('the answer', () => bob.heard.texts.includes('hello Bob'))
    await bob.device.markRead(room, bob.heard.messages.at(-1)!.messageId)
    await until('the receipt on Matrix', async () => (await nora.readUpTo(seen.room, seen.sender)) === eventId)
    await bob.device.typing(room)
    await until('Bob typing', async () => (await nora.typingIn(seen.room)).includes(seen.sender))
    await bob.device.typing(room, false)
    await until('Bob not typing', async () => !(await nora.typingIn(seen.room)).includes(seen.sender))
  })

  it('shows everywhere what a Matrix user writes on one of two clients, and delivers it once', async () => {
    const bob = await talk()
    const tablet = await world.provider.link(bob.device)
    const onTablet = hear(tablet.device)
    await until('the room on the tablet', async () => (await tablet.device.room(bob.room))?.joined === true)
    await using phone = await startNio({ synapse, name: 'alice' })
    assert.equal(phone.user, alice.user)
    assert.notEqual(phone.device, alice.device)
    await phone.untilJoined(bob.matrixRoom, alice.user)

    await alice.send(bob.matrixRoom, 'from the desk')
    await phone.untilReceived('from the desk')
    await until('the first at Bob', () => bob.heard.texts.length > 0)
    await phone.send(bob.matrixRoom, 'from the phone')
    await alice.untilReceived('from the phone', { room: bob.matrixRoom })
    await until('the second at Bob', () => bob.heard.texts.length > 1)
    await bob.device.send(bob.room, textMessage({ plain: 'to wherever you are' }))
    await alice.untilReceived('to wherever you are', { room: bob.matrixRoom })
    await phone.untilReceived('to wherever you are')
    await until('both on the tablet', () => onTablet.texts.length > 1)
    assert.deepEqual(bob.heard.texts, ['from the desk', 'from the phone'])
    assert.deepEqual(onTablet.texts, ['from the desk', 'from the phone'])
  })

  it('shows everywhere what one writes and reads on another device of one’s own', async () => {
    const bob = await talk()
    const tablet = await world.provider.link(bob.device)
    await until('the room on the tablet', async () => (await tablet.device.room(bob.room))?.joined === true)
    const own: string[] = []
    bob.device.on('message', ({ own: mine, content }) => {
      const text = readText(content)
      if (mine && text) own.push(text.plain)
    })
    const receipts = receiptsOf(bob)
    await tablet.device.send(bob.room, textMessage({ plain: 'from my tablet' }))
    await untilSeen(alice, bob.matrixRoom, /from my tablet/)
    await until('it on the phone', () => own.includes('from my tablet'))
    const onTablet = hear(tablet.device)
    const eventId = await alice.send(bob.matrixRoom, 'read it where you like')
    await until('it on the tablet', () => onTablet.texts.length === 1)
    await tablet.device.markRead(bob.room, onTablet.messages[0]!.messageId)
    await until('the read mark on the phone', () => receipts.some(({ status, own }) => status === 'read' && own))
    const ghost = await ghostIn(bob.matrixRoom)
    await until('the receipt on Matrix', async () => (await alice.readUpTo(bob.matrixRoom, ghost)) === eventId)
  })

  it('calls by name whoever is in the room, and gives nobody else away', async () => {
    const bob = await talk()
    const carol = await person(world, `person ${++people}`)
    const ghost = await ghostIn(bob.matrixRoom)
    const account = (await bob.device.members(bob.room)).find(({ own }) => !own)!.address
    const markdown = `${mentionMarkdown('Alice', account)} and ${mentionMarkdown('Carol', carol.device.address)}`
    await bob.device.send(bob.room, textMessage({ plain: '@Alice and @Carol', markdown }))
    const { content } = await untilSeen(alice, bob.matrixRoom, /@Alice and @Carol/)
    assert.deepEqual(content['m.mentions'], { user_ids: [alice.user] })
    assert.match(
      String(content.formatted_body),
      new RegExp(`<a href="https://matrix.to/#/${alice.user.replace(':', '(?::|%3A)')}">@Alice</a> and @Carol`),
    )
    assert.doesNotMatch(JSON.stringify(content), /mimi:/)

    const link = (user: string, name: string) => `<a href="https://matrix.to/#/${user}">${name}</a>`
    const html = `${link(ghost, 'Bob')} and ${link('@somebody:else.example', 'Dave')}: hello`
    await alice.send(bob.matrixRoom, { body: 'Bob and Dave: hello', html })
    await until('the mention', () => bob.heard.texts.some((text) => text.includes('hello')))
    const received = bob.heard.messages.at(-1)!.content
    assert.deepEqual(mentionsIn(received), [bob.device.address])
    assert.doesNotMatch(JSON.stringify(readText(received)), /else\.example/)
  })

  it('does all of it in a group, each under the name of their own ghost', async () => {
    const [ana, ben] = [await person(world, `person ${++people}`), await person(world, `person ${++people}`)]
    await ana.device.answerConsent(ben.device.address, true)
    await ben.device.answerConsent(ana.device.address, true)
    await ben.device.setProfile({ name: 'Ben' })
    const account = await ana.device.lookUp({ network: 'matrix', value: alice.user })
    const before = await alice.joined()
    const room = await ana.device.createGroup({ name: 'Friends', members: [ben.device.address, account] })
    const matrixRoom = await untilRoom(alice, before)
    await until('Ben in the group', async () => (await ben.device.room(room))?.joined === true)
    const receipts = receiptsOf(ana)
    const markdown = `${mentionMarkdown('Alice', account)}: look`
    const sent = await ana.device.send(room, textMessage({ plain: '@Alice: look', markdown }))
    const seen = await untilSeen(alice, matrixRoom, /@Alice: look/)
    assert.deepEqual(seen.content['m.mentions'], { user_ids: [alice.user] })
    await alice.read(matrixRoom, seen.eventId)
    await until('that Alice has read it', () =>
      receipts.some(({ account: by, status, messageIds }) => {
        return by === account && status === 'read' && messageIds.some((id) => hex(id) === hex(sent.messageId))
      }),
    )

    let ghostOfBen = ''
    await until('Ben on Matrix', async () => {
      ghostOfBen = (await alice.members(matrixRoom)).find(({ name }) => name === 'Ben')?.user ?? ''
      return ghostOfBen !== ''
    })
    const html = `<a href="https://matrix.to/#/${ghostOfBen}">Ben</a> too`
    const eventId = await alice.send(matrixRoom, { body: 'Ben too', html })
    await until('it at Ben', () => ben.heard.texts.includes('Ben too'))
    const { content, messageId } = ben.heard.messages[ben.heard.texts.indexOf('Ben too')]!
    assert.deepEqual(mentionsIn(content), [ben.device.address])
    await ben.device.markRead(room, messageId)
    await until('the receipt on Matrix', async () => (await alice.readUpTo(matrixRoom, ghostOfBen)) === eventId)

    await ben.device.typing(room)
    await until('Ben typing', async () => (await alice.typingIn(matrixRoom)).join() === ghostOfBen)
    await ben.device.typing(room, false)
    await until('Ben not typing', async () => (await alice.typingIn(matrixRoom)).length === 0)
    const heard: string[] = []
    ben.device.on('typing', ({ account: by, on }) => void heard.push(`${by} ${on}`))
    await alice.typing(matrixRoom, true)
    await until('Alice typing', () => heard.includes(`${account} true`))
    await alice.typing(matrixRoom, false)
    await until('Alice not typing', () => heard.at(-1) === `${account} false`)
  })

  it('states in the room and by a call what can be said', async () => {
    const bob = await talk()
    await until(
      'what the edge says',
      async () => (await bob.device.capabilities(bob.room)).features.reply.level === 'full',
    )
    const { networks, features, limits } = await bob.device.capabilities(bob.room)
    assert.deepEqual(networks, ['matrix', 'messenger'])
    assert.deepEqual(
      [features.typing.level, features['read-receipt'].level, features.mention.level],
      ['full', 'full', 'full'],
    )
    assert.equal(features.call.level, 'rejected')
    let state: Record<string, unknown> | null = null
    await until('the state', async () => {
      state = await alice.state(bob.matrixRoom, 'eu.silta.capabilities')
      return state !== null
    })
    assert.deepEqual(state, { version: 1, networks, features, limits })
  })
})
