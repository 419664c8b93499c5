import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { readText, textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { hex } from './support/edge-world.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { until } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

/** Back-off of the homeserver and of the edge, and a slow machine. */
const patienceMs = 60_000

describe('a conversation with a homeserver that comes, goes and loses answers', () => {
  let stub: StubHomeserver
  let service: TestService
  let alice: StubUser
  let carol: MessengerPerson
  let room: RoomId
  let matrixRoom: string
  const fromCarol: string[] = []
  const fromAlice: string[] = []

  const carolSays = async (text: string) => {
    fromCarol.push(text)
    await carol.device.send(room, textMessage({ plain: text }))
  }
  const aliceSays = async (text: string) => {
    fromAlice.push(text)
    await alice.send(matrixRoom, text)
  }
  const textsAtAlice = () =>
    alice.seen.filter(({ content }) => content.msgtype === 'm.text').map(({ content }) => content.body)
  /** What was said on either side is on the other, once and in order, and nothing is left to read. */
  const settled = async () => {
    await until('all at Carol', () => carol.heard.texts.length >= fromAlice.length, patienceMs)
    await until('all at Alice', () => textsAtAlice().length >= fromCarol.length, patienceMs)
    assert.deepEqual(carol.heard.texts, fromAlice)
    assert.deepEqual(textsAtAlice(), fromCarol)
    assert.equal(alice.unread, 0)
  }

  before(async () => {
    stub = await stubHomeserver()
    service = await startTestService({ synapse: stub })
    alice = await stub.user('alice')
    carol = await newPerson(service.url, 'carol')
    room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    await carolSays('hello Alice')
    await until('the room', () => textsAtAlice().length > 0, patienceMs)
    matrixRoom = alice.seen.find(({ content }) => content.body === 'hello Alice')!.room
    await aliceSays('hello Carol')
    await settled()
  })
  after(async () => {
    await carol?.close()
    await service?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  it('loses answers: nothing comes twice', async () => {
    for (let round = 1; round <= 3; round++) {
      stub.loseAnswers(round)
      await Promise.all([carolSays(`answer lost ${round}`), aliceSays(`answer lost to me ${round}`)])
      await settled()
    }
  })

  it('has much that came together: an answer finds what it answers, what cannot cross is told, the rest crosses', async () => {
    const heard: { id: string; inReplyTo: string | undefined }[] = []
    const off = carol.device.on('message', ({ messageId, content }) => {
      if (readText(content) !== undefined)
        heard.push({ id: hex(messageId), inReplyTo: content.inReplyTo && hex(content.inReplyTo) })
    })
    const notices = () => alice.seen.filter(({ content }) => content.msgtype === 'm.notice').length
    const before = notices()
    await service.kill()
    fromAlice.push('first', 'second', 'to the first', 'last')
    const first = await alice.send(matrixRoom, 'first')
    await alice.send(matrixRoom, 'second')
    await alice.send(matrixRoom, 'to the first', { 'm.relates_to': { 'm.in_reply_to': { event_id: first } } })
    await alice.send(matrixRoom, 'cannot cross', { msgtype: 'm.image', url: 'mxc://stub.test/picture' })
    await alice.send(matrixRoom, 'last')
    await service.start()
    await settled()
    off()
    assert.deepEqual(
      heard.map(({ inReplyTo }) => inReplyTo),
      [undefined, undefined, heard[0]?.id, undefined],
    )
    await until('the notice', () => notices() > before, patienceMs)
    assert.equal(notices(), before + 1)
  })

  it('goes away and comes back: nothing is lost', async () => {
    for (let round = 1; round <= 2; round++) {
      await Promise.all([carolSays(`going ${round}`), aliceSays(`going ${round}, Alice`)])
      await stub.interrupt()
      await carolSays(`away ${round}`)
      await aliceSays(`away ${round}, Alice`)
      await stub.resume()
      await settled()
    }
  })
})
