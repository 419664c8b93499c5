import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { readText, textMessage } from '../src/content/index.ts'
import {
  conversation,
  type EdgeWorld,
  edgeWorld,
  hex,
  person,
  type RunningEdge,
  untilRoom,
  untilSeen,
} from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('a conversation between the messenger and Matrix', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let running: RunningEdge
  let alice: MatrixClient
  let people = 0

  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    running = await world.startEdge()
    alice = await startMatrixClient({ synapse, name: 'alice' })
    await alice.isolate(true)
  })
  after(async () => {
    await alice?.stop()
    await world?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  /** What a Matrix client's look-up gives. */
  const thirdParty = async (path: string) => {
    const { registration, url } = synapse
    const response = await fetch(`${url}/_matrix/client/v3/thirdparty/${path}`, {
      headers: { authorization: `Bearer ${registration.asToken}` },
    })
    return JSON.parse(await response.text())
  }

  /** A new account of the messenger, reachable over Matrix. */
  const somebody = async (handle?: string) => {
    const made = await person(world, `person ${++people}`)
    if (handle !== undefined) await made.device.setHandle(handle)
    return made
  }
  const talk = () => conversation(world, `person ${++people}`, alice)

  it('begins from the messenger with a Matrix id: the join is the acceptance', async () => {
    const carol = await somebody()
    await carol.device.setProfile({ name: 'Carol' })
    const room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    const sent = await carol.device.send(room, textMessage({ plain: 'hello Alice' }))
    await sent.accepted
    const received = await alice.untilReceived('hello Alice')
    assert.equal(received.encrypted, true)
    assert.deepEqual(received.shield, { colour: 'NONE', reason: null })
    await until('acceptance', async () => (await carol.device.room(room))?.otherStanding === 'accepted')
    await until('the delivery report', () => carol.heard.delivered.includes(hex(sent.messageId)))

    const eventId = await alice.send(
      received.room,
      { body: 'hello **Carol**', html: 'hello <b>Carol</b>' },
      { replyTo: received.eventId },
    )
    await until('the answer', () => carol.heard.texts.length > 0)
    const [answer] = carol.heard.messages
    assert.deepEqual(readText(answer!.content), {
      plain: 'hello Carol',
      html: 'hello <strong>Carol</strong>',
      markdown: 'hello **Carol**',
    })
    assert.deepEqual(answer!.content.inReplyTo, sent.messageId)

    const reply = textMessage({ plain: 'thanks', inReplyTo: answer!.messageId })
    await carol.device.send(room, reply)
    const thanks = await alice.untilReceived('thanks')
    assert.deepEqual(thanks.content['m.relates_to'], { 'm.in_reply_to': { event_id: eventId } })

    const name = async () => (await alice.members(received.room)).find(({ user }) => user !== alice.user)?.name
    await until('the name', async () => (await name()) === 'Carol')
    const members = await carol.device.members(room)
    assert.equal(members.find(({ own }) => !own)?.profile?.foreignAddress, alice.user)
    const posture = await carol.device.posture(room)
    assert.deepEqual(posture.readers, [{ operator: 'bridge.example', network: 'matrix' }])
    const state = await alice.state(received.room, 'eu.silta.posture')
    assert.deepEqual({ level: state?.level, readers: state?.readers }, { level: 'edge', readers: posture.readers })
    await running.edge.idle()
  })

  const bot = () => `@silta:${synapse.domain}`
  const botChat = async (encrypted = true) => {
    const room = await alice.createRoom({ invite: [bot()], encrypted })
    await untilSeen(alice, room, /What I understand/)
    return room
  }

  it('begins from Matrix through the bot, in an encrypted chat with it', async () => {
    const dora = await somebody('dora')
    await dora.device.setProfile({ name: 'Dora' })
    const chat = await botChat()
    const welcome = await untilSeen(alice, chat, /What I understand/)
    assert.equal(welcome.encrypted, true)
    assert.equal(welcome.shield.colour, 'NONE')

    await alice.send(chat, 'Start @nobody.here')
    await untilSeen(alice, chat, /"nobody.here" cannot be reached/)
    await alice.send(chat, 'frobnicate')
    await untilSeen(alice, chat, /I do not know "frobnicate"/)
    await alice.send(chat, 'STATUS')
    await untilSeen(alice, chat, /Your conversations|You have no conversations/)

    const before = await alice.joined()
    await alice.send(chat, 'start dora')
    await untilSeen(alice, chat, /I asked dora/)
    const room = await untilRoom(alice, before)
    await untilSeen(alice, room, /Your request was sent/)
    await alice.send(room, 'may I write?')
    await until('the request', () => dora.heard.texts.includes('may I write?'))
    const statuses = async () =>
      (await alice.messages(room))
        .filter(({ type }) => type === 'com.beeper.message_send_status')
        .map(({ content }) => content.status)
    await until('that it waits', async () => (await statuses()).includes('PENDING'))
    const request = (await dora.device.rooms()).find(({ kind }) => kind === 'direct')
    assert.equal(request?.standing, 'requested')
    // Alice asked for this room herself: nothing here is to be accepted by her.
    assert.doesNotMatch(String((await alice.state(room, 'm.room.topic'))?.topic), /accept/)
    // A stranger has no name, on either side.
    assert.equal((await dora.device.members(request!.id)).find(({ own }) => !own)?.profile, undefined)
    const ghost = (await alice.members(room)).find(({ user }) => user !== alice.user)!
    assert.equal(ghost.name, ghost.user)

    await dora.device.accept(request!.id)
    await untilSeen(alice, room, /accepted\./)
    await until('the profile', async () =>
      (await dora.device.members(request!.id)).some(({ profile }) => profile?.foreignAddress === alice.user),
    )
    await until('the name', async () => (await alice.members(room)).some(({ name }) => name === 'Dora'))
    await alice.send(chat, 'leave Dora')
    await untilSeen(alice, chat, /You left the conversation with Dora/)
    await until('the ghost to go', async () =>
      (await alice.members(room)).every(({ user, membership }) => user === alice.user || membership === 'leave'),
    )
    await until('the end', async () => (await dora.device.room(request!.id))?.otherStanding === 'left')
  })

  it('begins from Matrix by inviting the ghost that /thirdparty finds', async () => {
    const emil = await somebody('emil')
    const [found] = await thirdParty('user/silta?handle=emil')
    assert.match(found.userid, /^@silta_/)
    assert.deepEqual(await thirdParty('user/silta?handle=nobody.there'), [])
    const protocol = await thirdParty('protocol/silta')
    assert.deepEqual(protocol.user_fields, ['handle'])

    const room = await alice.createRoom({ invite: [found.userid], trusted: true })
    await alice.untilJoined(room, found.userid)
    await alice.send(room, 'found you')
    await until('the message', () => emil.heard.texts.includes('found you'))
    await until('the posture', async () => (await alice.state(room, 'eu.silta.posture'))?.level === 'edge')
    const request = (await emil.device.rooms()).find(({ kind }) => kind === 'direct')
    await emil.device.accept(request!.id)
    await emil.device.send(request!.id, textMessage({ plain: 'hello' }))
    await untilSeen(alice, room, /^hello$/)
  })

  it('opens an encrypted room of its own when the ghost is invited into a plaintext one', async () => {
    const finn = await somebody('finn')
    const [found] = await thirdParty('user/silta?handle=finn')
    const before = await alice.joined()
    const plain = await alice.createRoom({ invite: [found.userid], encrypted: false, trusted: true })
    await untilSeen(alice, plain, /^This room is not encrypted\. I opened an encrypted room/)
    const room = await untilRoom(alice, [...before, plain])
    await alice.untilJoined(room, found.userid)
    await alice.send(room, 'in private')
    await until('the message', () => finn.heard.texts.includes('in private'))
    const members = await alice.members(plain)
    assert.equal(members.find(({ user }) => user === found.userid)?.membership, 'leave')
  })

  it('tells the sender what does not cross, each way', async () => {
    const { device, heard, room, matrixRoom } = await talk()
    const eventId = await alice.send(matrixRoom, 'first')
    await until('the message', () => heard.texts.includes('first'))
    await alice.sendRaw(matrixRoom, 'm.reaction', {
      'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: '👍' },
    })
    await untilSeen(alice, matrixRoom, /Reactions do not cross yet/)
    await alice.sendRaw(matrixRoom, 'm.room.message', { msgtype: 'm.image', body: 'cat.jpg', url: 'mxc://hs.test/x' })
    await untilSeen(alice, matrixRoom, /Pictures, voice messages and files do not cross yet/)
    await alice.sendRaw(matrixRoom, 'm.room.message', { msgtype: 'm.emote', body: 'waves' })
    await until('the action', () => heard.texts.includes('* waves'))
    await untilSeen(alice, matrixRoom, /star in front/)
    await alice.sendRaw(matrixRoom, 'm.room.message', { msgtype: 'm.emote', body: 'bows' })
    await until('the action', () => heard.texts.includes('* bows'))

    const expiring = await device.send(room, {
      ...textMessage({ plain: 'gone soon' }),
      expires: { relative: true, seconds: 60 },
    })
    await until('the outcome', () => heard.outcomes.some(({ messageId }) => messageId === hex(expiring.messageId)))
    const outcome = heard.outcomes.find(({ messageId }) => messageId === hex(expiring.messageId))
    assert.deepEqual([outcome?.outcome, outcome?.code], ['rejected', 'disappearing'])
    const seen = (await alice.messages(matrixRoom)).map(({ content }) => String(content.body))
    assert.ok(!seen.includes('gone soon'))
    // What is lost with every message of a kind is said once.
    assert.equal(seen.filter((body) => /star in front/.test(body)).length, 1)
  })

  it('ends when the messenger user opts out of Matrix: what is written is refused, in plain words', async () => {
    const { device, heard, matrixRoom } = await talk()
    await alice.send(matrixRoom, 'before')
    await until('the message', () => heard.texts.includes('before'))
    await device.setReachable('matrix', false)
    await alice.send(matrixRoom, 'after')
    await untilSeen(alice, matrixRoom, /Your message was not delivered.*not reachable over Matrix/)
    const chat = await botChat()
    await alice.send(chat, 'status')
    await untilSeen(alice, chat, /open\. Cannot be reached: your last message was refused/)
    await device.setReachable('matrix', true)
    await alice.send(matrixRoom, 'again')
    await until('the message', () => heard.texts.includes('again'))
    assert.deepEqual(heard.texts, ['before', 'again'])
  })

  it('ends when either side leaves', async () => {
    const first = await talk()
    await alice.leave(first.matrixRoom)
    await until('the end', async () => (await first.device.room(first.room))?.otherStanding === 'left')

    const second = await talk()
    await second.device.leave(second.room)
    await untilSeen(alice, second.matrixRoom, /left this conversation/)
    await until('the ghost to go', async () =>
      (await alice.members(second.matrixRoom)).every(
        ({ user, membership }) => user === alice.user || membership === 'leave',
      ),
    )
  })

  it('asks for consent first where the messenger user wants that', async () => {
    const gwen = await somebody('gwen')
    await gwen.device.setFirstContact('consent')
    const asked: string[] = []
    gwen.device.on('consent', ({ account, state }) => void (state === 'requested' && asked.push(account)))
    const chat = await botChat(false)
    const before = await alice.joined()
    await alice.send(chat, 'start gwen')
    await untilSeen(alice, chat, /gwen wants to be asked/)
    await until('the question', () => asked.length > 0)
    assert.equal((await gwen.device.rooms()).filter(({ kind }) => kind === 'direct').length, 0)
    await gwen.device.answerConsent(asked[0] as never, true)
    const room = await untilRoom(alice, before)
    await alice.untilJoined(room, (await alice.members(room)).find(({ user }) => user !== alice.user)!.user)
    await alice.send(room, 'thank you')
    await until('the message', () => gwen.heard.texts.includes('thank you'))
  })

  it('blocks and unblocks through the bot', async () => {
    const { device, heard, room, matrixRoom } = await talk()
    await device.setHandle('kim')
    await alice.send(matrixRoom, 'hello')
    await until('the message', () => heard.texts.includes('hello'))
    const chat = await botChat()
    await alice.send(chat, 'block kim')
    await untilSeen(alice, chat, /is blocked/)
    await until('the refusal', async () => {
      const { accepted } = await device.send(room, textMessage({ plain: 'hello?' }))
      return accepted.then(
        () => false,
        () => true,
      )
    })
    const before = await alice.joined()
    await alice.send(chat, 'unblock kim')
    await untilSeen(alice, chat, /is not blocked any more/)
    await alice.send(chat, 'start kim')
    const again = await untilRoom(alice, before)
    await alice.send(again, 'friends?')
    await until('the message', () => heard.texts.includes('friends?'))
  })

  describe('with somebody who takes their time to come in', () => {
    let shy: MatrixClient
    before(async () => {
      shy = await startMatrixClient({ synapse, name: 'shy', autoJoin: false })
      await shy.isolate(true)
    })
    after(() => shy?.stop())
    const invitedTo = async () => {
      await until('the invitation', async () => (await shy.invites()).length > 0)
      const [invitation = ''] = await shy.invites()
      return invitation
    }

    it('is read by them from its beginning on', async () => {
      const gus = await somebody()
      const room = await gus.device.conversationWith({ network: 'matrix', value: shy.user })
      const invitation = await invitedTo()
      const words = ['before you came', 'and this']
      const sent = await gus.device.sendAll(
        room,
        words.map((plain) => ({ content: textMessage({ plain }) })),
      )
      await Promise.all(sent.map(({ accepted }) => accepted))
      await until('both at the edge', async () => {
        const rows = await world.database.query('select 1 from portal_outbox where message_id = any($1)', [
          sent.map(({ messageId }) => messageId),
        ])
        return rows.length === 2
      })
      await running.edge.idle()
      // Whether it arrived is theirs to tell, who have not accepted yet.
      assert.deepEqual(gus.heard.delivered, [])
      await shy.join(invitation)
      for (const plain of words) {
        const received = await shy.untilReceived(plain)
        assert.deepEqual(received.shield, { colour: 'NONE', reason: null })
      }
      await until('the reports', () => sent.every(({ messageId }) => gus.heard.delivered.includes(hex(messageId))))
    })

    it('declines when the Matrix user declines the invitation', async () => {
      const hugo = await somebody()
      await hugo.device.setProfile({ name: 'Hugo' })
      const room = await hugo.device.conversationWith({ network: 'matrix', value: shy.user })
      const invitation = await invitedTo()
      const ghost = (await shy.members(invitation)).find(({ user }) => user !== shy.user)
      assert.ok(ghost === undefined || ghost.name === ghost.user)
      await shy.leave(invitation)
      // Who declines says nothing, but nothing more comes through.
      await until('the refusal', async () => {
        const { accepted } = await hugo.device.send(room, textMessage({ plain: 'hello?' }))
        return accepted.then(
          () => false,
          (error: { code: string }) => error.code === 'not-allowed',
        )
      })
    })
  })

  it('finds nobody who does not exist', async () => {
    const ivy = await somebody()
    for (const value of ['@nobody:hs.test', 'no matrix id', bot(), '@silta_x:hs.test'])
      await assert.rejects(ivy.device.lookUp({ network: 'matrix', value }), {
        name: 'ClientError',
        code: 'not-reachable',
      })
    const nobody = `@silta_zzz:${synapse.domain}`
    const room = await alice.createRoom({ invite: [nobody], encrypted: true })
    await until('an answer', async () => (await alice.state(room, 'm.room.member', nobody))?.membership === 'leave')
    assert.match(String((await alice.state(room, 'm.room.member', nobody))?.reason), /nobody with this Matrix id/)
  })

  it('says that a server cannot be reached, and begins nothing', async () => {
    const jim = await somebody()
    const target = { network: 'matrix', value: '@somebody:elsewhere.test' }
    await assert.rejects(jim.device.conversationWith(target), { code: 'server-unreachable', retry: true })
    assert.ok((await jim.device.rooms()).every(({ kind }) => kind !== 'direct'))
  })

  it('writes nothing readable into the log', () => {
    assert.doesNotMatch(JSON.stringify(world.logged), /alice|dora|@|mimi:|hello/i)
  })
})
