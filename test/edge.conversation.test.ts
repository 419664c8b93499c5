import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { readText, textMessage } from '../src/content/index.ts'
import { type EdgeWorld, edgeWorld, hear, hex, type RunningEdge } from './support/edge-world.ts'
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

  /** A new account of the messenger, reachable over Matrix. */
  const person = async (handle?: string) => {
    const made = await world.provider.register(`person ${++people}`)
    await made.device.setReachable('matrix', true)
    if (handle !== undefined) await made.device.setHandle(handle)
    return { ...made, heard: hear(made.device) }
  }

  it('begins from the messenger with a Matrix id: the join is the acceptance', async () => {
    const carol = await person()
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
})
