import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import { beginningSteps } from '../src/edge/index.ts'
import { type ClientMessage, type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { until } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

const conversations = 20
const patienceMs = 120_000
const numbers = Array.from({ length: conversations }, (_, index) => index + 1)

/** Nobody has a session with anybody yet, and all ask for keys of the same device at once. */
describe('twenty conversations whose first messages are sent at the same moment', {
  skip: await synapseMissing(),
}, () => {
  let synapse: TestSynapse
  let service: TestService
  const open: AsyncDisposable[] = []

  before(async () => {
    synapse = await testSynapse()
    service = await startTestService({ synapse })
  })
  after(async () => {
    for (const one of open.reverse()) await one[Symbol.asyncDispose]()
    await service?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  /** A Matrix client that takes part with cross-signed devices only (MSC4153). */
  const client = async (name: string): Promise<MatrixClient> => {
    const started = await startMatrixClient({ synapse, name })
    open.push(started)
    await started.isolate(true)
    return started
  }
  const crowd = async (name: string, size = conversations): Promise<(MessengerPerson & { handle: string })[]> => {
    const people = await Promise.all(
      numbers.slice(0, size).map(async (number) => {
        const handle = `${name}${number}`
        return { ...(await newPerson(service.url, handle, { handle })), handle }
      }),
    )
    open.push(...people)
    return people
  }
  const everyMessage = async (of: MatrixClient, rooms: readonly string[]): Promise<ClientMessage[]> =>
    (await Promise.all(rooms.map((room) => of.messages(room))))
      .flat()
      .filter(({ sender, type }) => sender.startsWith('@silta_') && type !== 'com.beeper.message_send_status')
  const assertUnblemished = (messages: readonly ClientMessage[]) => {
    const fine = ({ shield, encrypted, failure }: ClientMessage) =>
      shield.colour === 'NONE' && shield.reason === null && encrypted && failure === undefined
    assert.deepEqual(
      messages.filter((message) => !fine(message)),
      [],
    )
  }

  it('by twenty messenger users to one Matrix user', async () => {
    const [alice, people] = await Promise.all([client('alice'), crowd('ada')])
    await Promise.all(
      people.map(async ({ device }, index) => {
        const room = await device.conversationWith({ network: 'matrix', value: alice.user })
        await device.send(room, textMessage({ plain: `first of ${index + 1}` }))
      }),
    )
    const firsts = await Promise.all(
      numbers.map((number) => alice.untilReceived(`first of ${number}`, { timeoutMs: patienceMs })),
    )
    const rooms = firsts.map(({ room }) => room)
    assert.equal(new Set(rooms).size, conversations)
    await Promise.all(rooms.map((room, index) => alice.send(room, `answer to ${index + 1}`)))
    for (const [index, { heard, faults }] of people.entries()) {
      await until(`the answer to ${index + 1}`, () => heard.texts.length > 0, patienceMs)
      assert.deepEqual(heard.texts, [`answer to ${index + 1}`])
      assert.deepEqual(faults, [])
    }
    const messages = await everyMessage(alice, rooms)
    assert.equal(messages.filter(({ content }) => content.msgtype === 'm.text').length, conversations)
    assertUnblemished(messages)
  })

  /** Invites a ghost and writes at once, as people do. */
  const writeTo = async (from: MatrixClient, ghost: string, ...texts: string[]): Promise<string> => {
    const room = await from.createRoom({ invite: [ghost], trusted: true })
    // The client has to know that the room is encrypted and for whom; nobody else need be there yet.
    await from.untilJoined(room, from.user, patienceMs)
    const isInvited = async () => (await from.members(room)).some(({ user }) => user === ghost)
    await until('the invitation', isInvited, patienceMs)
    for (const text of texts) await from.send(room, text)
    return room
  }

  it('by one Matrix user to twenty messenger users, before any of them is there', async () => {
    const [bob, people] = await Promise.all([client('bob'), crowd('ben')])
    const ghosts = await Promise.all(numbers.map((number) => ghostOf(synapse, `ben${number}`)))
    service.pause()
    const rooms = await Promise.all(ghosts.map((ghost, index) => writeTo(bob, ghost, `first to ${index + 1}`)))
    service.resume()
    for (const [index, { heard }] of people.entries())
      await until(`the first to ${index + 1}`, () => heard.texts.length > 0, patienceMs)
    await Promise.all(
      people.map(async ({ device, heard }, index) => {
        const { room } = heard.messages[0]!
        await device.accept(room)
        await device.send(room, textMessage({ plain: `answer of ${index + 1}` }))
      }),
    )
    for (const [index, room] of rooms.entries())
      await bob.untilReceived(`answer of ${index + 1}`, { room, timeoutMs: patienceMs })
    for (const [index, { heard, faults }] of people.entries()) {
      assert.deepEqual(heard.texts, [`first to ${index + 1}`])
      assert.deepEqual(faults, [])
    }
    assertUnblemished(await everyMessage(bob, rooms))
  })

  for (const step of beginningSteps)
    it(`also when the service dies at ${step} of one of them`, async () => {
      const name = step.replace('matrix.', '')
      const [dora, people] = await Promise.all([client(`dora-${name}`), crowd(name, 4)])
      const ghosts = await Promise.all(people.map(({ handle }) => ghostOf(synapse, handle)))
      await service.dieAt(step, 2)
      service.pause()
      const rooms = await Promise.all(ghosts.map((ghost) => writeTo(dora, ghost, 'one', 'two')))
      service.resume()
      await service.ended()
      await service.start()
      await Promise.all(rooms.map((room) => dora.send(room, 'three')))
      for (const { heard, faults, handle } of people) {
        await until(`all to ${handle}`, () => heard.texts.length >= 3, patienceMs)
        assert.deepEqual(heard.texts, ['one', 'two', 'three'])
        assert.deepEqual(
          faults.filter((fault) => !fault.startsWith('fault')),
          [],
        )
      }
    })
})

/** Whom a Matrix client finds under a handle. */
async function ghostOf({ url, registration }: TestSynapse, handle: string): Promise<string> {
  const answer = await fetch(`${url}/_matrix/client/v3/thirdparty/user/silta?handle=${handle}`, {
    headers: { authorization: `Bearer ${registration.asToken}` },
  })
  const [found] = (await answer.json()) as { userid: string }[]
  assert.ok(found, `${handle} is found`)
  return found.userid
}
