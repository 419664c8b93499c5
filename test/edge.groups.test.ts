import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import {
  type EdgeWorld,
  edgeWorld,
  hear,
  hex,
  person,
  type RunningEdge,
  textsSeen,
  untilRoom,
  untilSeen,
} from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('a group of the messenger and Matrix', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let running: RunningEdge
  let alice: MatrixClient
  let carol: MatrixClient
  let people = 0

  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    running = await world.startEdge()
    ;[alice, carol] = await Promise.all([
      startMatrixClient({ synapse, name: 'alice' }),
      startMatrixClient({ synapse, name: 'carol' }),
    ])
    await alice.isolate(true)
  })
  after(async () => {
    await alice?.stop()
    await carol?.stop()
    await world?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  const somebody = () => person(world, `person ${++people}`)
  type Person = Awaited<ReturnType<typeof somebody>>

  /** People of the messenger who let each other add them. */
  const friends = async (count: number): Promise<Person[]> => {
    const all: Person[] = []
    for (let i = 0; i < count; i++) all.push(await somebody())
    for (const one of all)
      for (const other of all) if (one !== other) await one.device.answerConsent(other.device.address, true)
    return all
  }
  const accountOf = ({ device }: Person, client: MatrixClient) =>
    device.lookUp({ network: 'matrix', value: client.user })
  const say = ({ device }: Pick<Person, 'device'>, room: RoomId, plain: string) =>
    device.send(room, textMessage({ plain }))

  it('is made on the messenger: two with three devices there, two on Matrix; everybody reads everything once', async () => {
    const [ana, ben] = (await friends(2)) as [Person, Person]
    await ana.device.setProfile({ name: 'Ana' })
    await ben.device.setProfile({ name: 'Ben' })
    const tablet = await world.provider.link(ben.device)
    const onTablet = hear(tablet.device)
    const before = await alice.joined()
    const members = [ben.device.address, await accountOf(ana, alice), await accountOf(ana, carol)]
    const room = await ana.device.createGroup({ name: 'Friends', members })
    const first = await say(ana, room, 'welcome all')
    const matrixRoom = await untilRoom(alice, before)
    await untilSeen(alice, matrixRoom, /welcome all/)
    await untilSeen(carol, matrixRoom, /welcome all/)
    assert.equal((await alice.state(matrixRoom, 'm.room.name'))?.name, 'Friends')
    await until('the report', () => ana.heard.delivered.includes(hex(first.messageId)))

    await alice.untilJoined(matrixRoom, carol.user)
    await say(ben, room, 'from Ben')
    await alice.send(matrixRoom, 'from Alice')
    await carol.send(matrixRoom, 'from Carol')
    const second = await say(tablet, room, 'from the tablet')
    await second.accepted
    const all = ['from Alice', 'from Ben', 'from Carol', 'from the tablet', 'welcome all']
    const without = (...own: string[]) => all.filter((text) => !own.includes(text))
    const sorted = async (texts: string[] | Promise<string[]>) => [...(await texts)].sort()
    await until('all at Ana', async () => ana.heard.texts.length >= 4)
    await until('all at Ben', async () => ben.heard.texts.length >= 3)
    await until('all on the tablet', async () => onTablet.texts.length >= 3)
    await until('all at Alice', async () => (await textsSeen(alice, matrixRoom)).length >= 4)
    await until('all at Carol', async () => (await textsSeen(carol, matrixRoom)).length >= 4)
    await until('the report', () => ana.heard.delivered.length >= 3)
    await running.edge.idle()
    assert.deepEqual(await sorted(ana.heard.texts), without('welcome all'))
    assert.deepEqual(await sorted(ben.heard.texts), without('from Ben', 'from the tablet'))
    assert.deepEqual(await sorted(textsSeen(alice, matrixRoom)), without('from Alice'))
    assert.deepEqual(await sorted(textsSeen(carol, matrixRoom)), without('from Carol'))
    const messages = await alice.messages(matrixRoom)
    for (const { encrypted, shield, sender, type } of messages)
      if (type === 'm.room.message' && sender !== alice.user && sender !== carol.user)
        assert.deepEqual({ encrypted, colour: shield.colour }, { encrypted: true, colour: 'NONE' })
    const heard = ana.heard.messages.find(({ content }) => content && true)
    assert.ok(heard)
    await until('the names', async () => {
      const names = (await alice.members(matrixRoom)).map(({ name }) => name)
      return names.includes('Ana') && names.includes('Ben')
    })
    const posture = await alice.state(matrixRoom, 'eu.silta.posture')
    assert.deepEqual({ level: posture?.level, accounts: posture?.accounts }, { level: 'edge', accounts: 4 })
    await until('Alice under her own name', async () =>
      (await ben.device.members(room)).some(({ profile }) => profile?.foreignAddress === alice.user),
    )
  })
})
