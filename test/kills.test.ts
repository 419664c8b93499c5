import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { hex } from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { megolmUses } from './support/megolm.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { mlsLog } from './support/mls-uses.ts'
import { until } from './support/provider.ts'
import { serviceSteps, startTestService, type TestService } from './support/service.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

/** Many at once at first, then ever slower: some steps are taken once for all that waits. */
const pauseMs = (number: number) => 20 * number
const mostMessages = 80
/** Restart, back-off of the homeserver and of the device, and a slow machine. */
const patienceMs = 60_000

describe('Silta, killed between two steps of a message', { skip: await synapseMissing() }, () => {
  const log = mlsLog()
  let synapse: TestSynapse
  let service: TestService
  let alice: MatrixClient
  let carol: MessengerPerson
  let room: RoomId
  let matrixRoom: string
  let ghost: string
  const fromAlice: string[] = []
  const fromCarol: string[] = []
  const sentByCarol: string[] = []

  const carolSays = async (text: string) => {
    fromCarol.push(text)
    sentByCarol.push(hex((await carol.device.send(room, textMessage({ plain: text }))).messageId))
  }
  const aliceSays = async (text: string) => {
    fromAlice.push(text)
    await alice.send(matrixRoom, text)
  }
  const seenByAlice = async () =>
    (await alice.messages(matrixRoom)).filter(({ sender, type }) => sender === ghost && type === 'm.room.message')
  const textsAtAlice = async () =>
    (await seenByAlice()).filter(({ content }) => content.msgtype === 'm.text').map(({ content }) => content.body)

  /** What was said on either side is on the other, once and in order. */
  const settled = async () => {
    await until('all at Carol', () => carol.heard.texts.length >= fromAlice.length, patienceMs)
    await until('all at Alice', async () => (await textsAtAlice()).length >= fromCarol.length, patienceMs)
    assert.deepEqual(carol.heard.texts, fromAlice)
    assert.deepEqual(await textsAtAlice(), fromCarol)
    await log.noteEpochs(carol.storage, room)
  }
  /** Both sides write until the service is dead, and once more. */
  const talkUntilDead = (about: string) =>
    Promise.all(
      [carolSays, aliceSays].map(async (say, side) => {
        for (let number = 1, alive = true; alive; number++) {
          alive = service.running
          assert.ok(number <= mostMessages, 'the step was not reached')
          await say(`${about}, ${side ? 'Alice' : 'Carol'} ${number}`)
          await sleep(pauseMs(number))
        }
      }),
    )

  before(async () => {
    synapse = await testSynapse()
    service = await startTestService({ synapse })
    alice = await startMatrixClient({ synapse, name: 'alice' })
    await alice.isolate(true)
    carol = await newPerson(service.url, 'carol', { onFrame: log.onFrame })
    room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    await carolSays('hello Alice')
    const received = await alice.untilReceived('hello Alice')
    matrixRoom = received.room
    ghost = received.sender
    await aliceSays('hello Carol')
    await settled()
  })
  after(async () => {
    await carol?.close()
    await alice?.stop()
    await service?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  // The second time: something is on its way before and behind.
  for (const step of serviceSteps)
    it(`at ${step}: all arrives once, in order, decrypted`, async () => {
      await service.dieAt(step, 2)
      await talkUntilDead(step)
      await service.ended()
      await service.start()
      await carolSays(`${step}, afterwards`)
      await settled()
    })

  it('at any other moment, and while it starts: all arrives once, in order, decrypted', async () => {
    for (let round = 1; round <= 3; round++) {
      const talking = talkUntilDead(`at any moment ${round}`)
      await sleep(1500 * Math.random())
      await service.kill()
      await talking
      const starting = service.start().catch(() => {})
      await sleep(2500 * Math.random())
      await service.kill()
      await starting
      await service.start()
      await settled()
    }
  })

  it('leaves no warning, no placeholder, no notice and no key that was used twice', async () => {
    const seen = await seenByAlice()
    assert.deepEqual(
      seen.filter(({ shield, failure, encrypted }) => shield.colour !== 'NONE' || failure !== undefined || !encrypted),
      [],
    )
    const notices = seen.filter(({ content }) => content.msgtype !== 'm.text')
    assert.equal(notices.length, 1, 'the posture, at the beginning')
    assert.deepEqual(
      carol.faults.filter((fault) => !fault.startsWith('fault')),
      [],
    )
    assert.deepEqual(carol.heard.outcomes, [])

    const megolm = await megolmUses(synapse, ghost, matrixRoom)
    assert.ok(megolm.length > fromCarol.length)
    assert.equal(new Set(megolm.map(({ key }) => key)).size, megolm.length)
    const mls = await log.uses(room)
    assert.ok(mls.length >= fromCarol.length + fromAlice.length)
    assert.equal(new Set(mls).size, mls.length)

    await until('all delivery reports', () => carol.heard.delivered.length >= sentByCarol.length, patienceMs)
    assert.deepEqual(carol.heard.delivered.toSorted(), sentByCarol.toSorted())
  })
})
