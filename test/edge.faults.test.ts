import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Sent } from '../src/client/index.ts'
import { readText, textMessage } from '../src/content/index.ts'
import { type Database, StoreError } from '../src/store/index.ts'
import {
  conversation,
  type EdgeWorld,
  edgeWorld,
  hex,
  person,
  type RunningEdge,
  textsSeen,
  untilSeen,
} from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('an edge to which things happen', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let running: RunningEdge
  let alice: MatrixClient
  /** Whether room keys are lost on their way from the homeserver. */
  let losesKeys = false
  /** A step at which the next pass fails once. */
  let failsAt: string | undefined
  const failed: string[] = []
  /** The next transaction with such a statement is committed, and nobody hears of it: the connection broke. */
  let losesAnswerTo: string | undefined
  const unsure = (database: Database): Database => ({
    ...database,
    async transaction(work) {
      let lost = false
      const callbacks: (() => void)[] = []
      const look = (text: string) => {
        if (losesAnswerTo === undefined || !text.includes(losesAnswerTo)) return
        losesAnswerTo = undefined
        lost = true
      }
      const result = await database.transaction((tx) =>
        work({
          ...tx,
          write(text, ...rest) {
            look(text)
            tx.write(text, ...rest)
          },
          query(text, ...rest) {
            look(text)
            return tx.query(text, ...rest)
          },
          afterCommit: (callback) => void callbacks.push(callback),
        }),
      )
      if (lost) throw new StoreError('unavailable', 'the connection broke')
      for (const callback of callbacks) callback()
      return result
    },
  })

  const startEdge = () =>
    world.startEdge({
      database: unsure(world.database),
      // Where the homeserver cannot be asked for the key, the longer time counts.
      settings: { portals: { missingKeyMs: 500, missingKeyMostMs: 10_000, missingKeyRetryMs: 250 } },
      // A ghost that misses a key looks into its inbox too.
      fetch: (input, init) =>
        losesKeys && String(input).includes('/sync') ? Promise.reject(new Error('cut')) : fetch(input, init),
      pushed: (transaction) => (losesKeys ? { ...transaction, 'de.sorunome.msc2409.to_device': [] } : transaction),
      steps(name) {
        if (name !== failsAt) return
        failsAt = undefined
        failed.push(name)
        throw new Error(`made to fail at ${name}`)
      },
    })
  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    running = await startEdge()
    alice = await startMatrixClient({ synapse, name: 'alice' })
    await alice.isolate(true)
  })
  after(async () => {
    await alice?.stop()
    await world?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  it('puts a placeholder for a message whose key is missing, and the message in its place when the key comes', async () => {
    const { heard, matrixRoom } = await conversation(world, 'placeholder', alice)
    losesKeys = true
    await alice.newRoomKey(matrixRoom)
    await alice.send(matrixRoom, 'late')
    await until('the placeholder', () => heard.texts.some((text) => /key has not arrived/.test(text)))
    losesKeys = false
    await alice.send(matrixRoom, 'next')
    await until('the message itself', () => heard.texts.includes('late') && heard.texts.includes('next'))
    const late = heard.messages.find(({ content }) => readText(content)?.plain === 'late')
    assert.deepEqual(late?.content.replaces, heard.messages[0]?.messageId)
    assert.equal(heard.texts.length, 3)
  })

  it('does not pass on what was written without encryption', async () => {
    const { heard, matrixRoom } = await conversation(world, 'plain', alice)
    const login = await fetch(`${synapse.url}/_matrix/client/v3/login`, {
      method: 'POST',
      body: JSON.stringify({
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: 'alice' },
        password: 'a password',
      }),
    })
    const { access_token: token } = (await login.json()) as { access_token: string }
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(matrixRoom)}/send/m.room.message/plain1`
    await fetch(synapse.url + path, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ msgtype: 'm.text', body: 'in clear' }),
    })
    await untilSeen(alice, matrixRoom, /Your message was not encrypted, so it was not passed on/)
    await alice.send(matrixRoom, 'sealed')
    await until('the encrypted one', () => heard.texts.includes('sealed'))
    assert.deepEqual(heard.texts, ['sealed'])
  })

  it('delivers in order, each way, what was written while it was down', async () => {
    const { device, heard, room, matrixRoom } = await conversation(world, 'down', alice)
    await running.close()
    const words = (who: string) => Array.from({ length: 12 }, (_, i) => `${who} ${i}`)
    for (const text of words('m')) await device.send(room, textMessage({ plain: text }))
    for (const text of words('a')) await alice.send(matrixRoom, text)
    running = await startEdge()
    await until('all from Matrix', () => heard.texts.length >= 12)
    await until('all from the messenger', async () => (await textsSeen(alice, matrixRoom)).length >= 12)
    await running.edge.idle()
    assert.deepEqual(heard.texts, words('a'))
    assert.deepEqual(await textsSeen(alice, matrixRoom), words('m'))
  })

  for (const step of [
    'matrix.outbox.stored',
    'matrix.outbox.encrypted',
    'matrix.put',
    'matrix.done',
    'matrix.decrypted',
  ])
    it(`goes on after a fault at ${step}: once, in order`, async () => {
      const { device, heard, room, matrixRoom } = await conversation(world, step, alice)
      await running.edge.idle()
      failsAt = step
      const sent: Sent[] = []
      for (const text of ['one', 'two', 'three']) {
        sent.push(await device.send(room, textMessage({ plain: text })))
        await alice.send(matrixRoom, text)
      }
      await until('all from the messenger', async () => (await textsSeen(alice, matrixRoom)).length >= 3)
      await until('all from Matrix', () => heard.texts.length >= 3)
      await until('the reports', () => sent.every(({ messageId }) => heard.delivered.includes(hex(messageId))))
      await running.edge.idle()
      assert.equal(failed.at(-1), step)
      assert.deepEqual(heard.texts, ['one', 'two', 'three'])
      assert.deepEqual(await textsSeen(alice, matrixRoom), ['one', 'two', 'three'])
      assert.equal(heard.delivered.length, 3)
    })

  it('carries a message whose storing nobody was told of, each way', async () => {
    const { device, room, matrixRoom, heard } = await conversation(world, 'unsure', alice)
    await running.edge.idle()
    losesAnswerTo = 'insert into portal_outbox'
    const { messageId } = await device.send(room, textMessage({ plain: 'stored all the same' }))
    await untilSeen(alice, matrixRoom, /stored all the same/)
    await until('the report', () => heard.delivered.includes(hex(messageId)))
    assert.equal(losesAnswerTo, undefined)
    losesAnswerTo = 'delete from appservice_event'
    await alice.send(matrixRoom, 'this one too')
    await until('the message from Matrix', () => heard.texts.includes('this one too'))
    assert.equal(losesAnswerTo, undefined)
    losesAnswerTo = 'insert into portal_outbox'
    await alice.sendRaw(matrixRoom, 'm.room.message', { msgtype: 'm.image', body: 'a.png', url: 'mxc://hs.test/a' })
    await until('the answer to what cannot cross', () => losesAnswerTo === undefined)
    await until('that it was said', async () => {
      const waiting = await world.database.query("select 1 from portal_outbox where kind <> 'outcome'")
      return waiting.length === 0
    })
  })

  it('leaves a room that a third one enters, and goes on in a room of its own', async () => {
    const bob = await startMatrixClient({ synapse, name: 'bob' })
    try {
      const other = await person(world, 'third')
      await other.device.setHandle('third')
      const response = await fetch(`${synapse.url}/_matrix/client/v3/thirdparty/user/silta?handle=third`, {
        headers: { authorization: `Bearer ${synapse.registration.asToken}` },
      })
      const [{ userid: ghost }] = (await response.json()) as [{ userid: string }]
      const before = await alice.joined()
      const own = await alice.createRoom({ invite: [ghost], trusted: true })
      await alice.untilJoined(own, ghost)
      await alice.invite(own, bob.user)
      await untilSeen(alice, own, /Others can read this room now/)
      let room: string | undefined
      await until('another room', async () => {
        room = (await alice.joined()).find((one) => one !== own && !before.includes(one))
        return room !== undefined
      })
      await alice.untilJoined(room!, ghost)
      await alice.send(room!, 'just us')
      await until('the message', () => other.heard.texts.includes('just us'))
    } finally {
      await bob.stop()
    }
  })

  it('has twenty conversations begin at the same moment, all readable', async () => {
    const others = await Promise.all(Array.from({ length: 20 }, (_, i) => person(world, `crowd ${i}`)))
    await Promise.all(
      others.map(async ({ device }, i) => {
        const room = await device.conversationWith({ network: 'matrix', value: alice.user })
        await device.send(room, textMessage({ plain: `crowd ${i}` }))
      }),
    )
    for (const i of others.keys()) {
      const message = await alice.untilReceived(`crowd ${i}`, { timeoutMs: 60_000 })
      assert.equal(message.shield.colour, 'NONE')
    }
  })
})
