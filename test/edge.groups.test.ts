import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
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

  const ghostOf = async ({ device }: Person, handle: string): Promise<string> => {
    await device.setHandle(handle)
    const { url, registration } = synapse
    const response = await fetch(`${url}/_matrix/client/v3/thirdparty/user/silta?handle=${handle}`, {
      headers: { authorization: `Bearer ${registration.asToken}` },
    })
    return ((await response.json()) as [{ userid: string }])[0].userid
  }
  const bot = () => `@silta:${synapse.domain}`
  const membership = async (client: MatrixClient, room: string, user: string) =>
    (await client.members(room)).find((member) => member.user === user)?.membership
  const untilIs = (client: MatrixClient, room: string, user: string, wanted: string | undefined) =>
    until(`${wanted} of somebody on Matrix`, async () => (await membership(client, room, user)) === wanted)
  /** Members of the messenger's group with their roles, by the names that the test gives. */
  const rolesIn = async ({ device }: Person, room: RoomId, names: Record<string, string>) =>
    Object.fromEntries((await device.group(room)).members.map(({ address, role }) => [names[address] ?? address, role]))
  const untilRoles = (one: Person, room: RoomId, names: Record<string, string>, wanted: Record<string, string>) =>
    until(`the roles ${JSON.stringify(wanted)}`, async () => isDeepStrictEqual(await rolesIn(one, room, names), wanted))
  const groupOf = async ({ device }: Person) =>
    (await device.rooms()).find(({ kind, joined }) => kind === 'group' && joined)

  it('is made on Matrix: the bot rules it, members of the messenger come when they agree', async () => {
    const [ana, ben] = [await somebody(), await somebody()]
    const asked: string[] = []
    for (const { device } of [ana, ben])
      device.on('consent', ({ account, state }) => void asked.push(`${state} ${account}`))
    const [anasGhost, bensGhost] = [await ghostOf(ana, 'trip.ana'), await ghostOf(ben, 'trip.ben')]
    const room = await alice.createRoom({ name: 'Trip', direct: false, invite: [carol.user] })
    await alice.untilJoined(room, carol.user)

    await alice.invite(room, anasGhost)
    await untilSeen(alice, room, /I lack rights here.*Invite @silta/)
    await untilIs(alice, room, anasGhost, 'leave')
    await alice.invite(room, bot())
    await untilIs(alice, room, bot(), 'join')
    await alice.setPower(room, bot(), 100)
    await alice.invite(room, anasGhost)
    await alice.invite(room, bensGhost)
    await until('the questions', () => asked.length === 2)
    const account = await accountOf(ana, alice)
    assert.deepEqual(asked, [`requested ${account}`, `requested ${account}`])
    assert.equal(await groupOf(ana), undefined)
    await ana.device.answerConsent(account, true)
    await until('the group', async () => (await groupOf(ana)) !== undefined)
    const group = (await groupOf(ana))!
    assert.equal(group.name, 'Trip')
    await ben.device.answerConsent(account, false)
    await untilSeen(alice, room, /could not be added to the group: they cannot be reached/)
    await untilIs(alice, room, bensGhost, 'leave')
    await untilIs(alice, room, anasGhost, 'join')
    const names = { [account]: 'alice', [await accountOf(ana, carol)]: 'carol', [ana.device.address]: 'ana' }
    await untilRoles(ana, group.id, names, { alice: 'owner', carol: 'member', ana: 'member' })
    await alice.send(room, 'off we go')
    await carol.send(room, 'at last')
    await say(ana, group.id, 'I am in')
    await untilSeen(alice, room, /I am in/)
    await untilSeen(carol, room, /I am in/)
    await until('both', () => ana.heard.texts.length === 2)
    assert.deepEqual([...ana.heard.texts].sort(), ['at last', 'off we go'])
    const posture = await alice.state(room, 'eu.silta.posture')
    assert.deepEqual({ level: posture?.level, accounts: posture?.accounts }, { level: 'edge', accounts: 3 })
  })

  it('is refused where it is not encrypted, with the reason', async () => {
    const dan = await somebody()
    const ghost = await ghostOf(dan, 'plain.dan')
    const room = await alice.createRoom({ name: 'Open', direct: false, encrypted: false })
    await alice.invite(room, ghost)
    await untilSeen(alice, room, /This room is not encrypted\. Switch encryption on/)
    await untilIs(alice, room, ghost, 'leave')
    assert.equal(await groupOf(dan), undefined)
  })

  it('has its members, name and roles follow, from either side', async () => {
    const [ana, ben, eve] = (await friends(3)) as [Person, Person, Person]
    const [aliceThere, carolThere] = [await accountOf(ana, alice), await accountOf(ana, carol)]
    const names = {
      [ana.device.address]: 'ana',
      [ben.device.address]: 'ben',
      [eve.device.address]: 'eve',
      [aliceThere]: 'alice',
      [carolThere]: 'carol',
    }
    const before = await alice.joined()
    const room = await ana.device.createGroup({ name: 'Band', members: [ben.device.address, aliceThere] })
    const matrixRoom = await untilRoom(alice, before)
    const [anas, bens, eves] = [await ghostOf(ana, 'b.ana'), await ghostOf(ben, 'b.ben'), await ghostOf(eve, 'b.eve')]
    await untilIs(alice, matrixRoom, bens, 'join')
    const power = async (user: string) => {
      const users = ((await alice.state(matrixRoom, 'm.room.power_levels'))?.users ?? {}) as Record<string, number>
      return users[user] ?? 0
    }
    await until('the owner on Matrix', async () => (await power(anas)) === 100)

    // Added: by a member of the messenger, and by a Matrix user.
    await ben.device.addMembers(room, [eve.device.address])
    await untilIs(alice, matrixRoom, eves, 'join')
    await alice.invite(matrixRoom, carol.user)
    await untilRoles(ana, room, names, { ana: 'owner', ben: 'member', eve: 'member', alice: 'member', carol: 'member' })
    await alice.untilJoined(matrixRoom, carol.user)

    // Roles and the name.
    await ana.device.setRole(room, aliceThere, 'admin')
    await until('the admin on Matrix', async () => (await power(alice.user)) === 50)
    await alice.setName(matrixRoom, 'Orchestra')
    await until('the name', async () => (await ben.device.room(room))?.name === 'Orchestra')
    await ana.device.rename(room, 'Choir')
    await until('the name on Matrix', async () => (await alice.state(matrixRoom, 'm.room.name'))?.name === 'Choir')
    await ana.device.setRole(room, aliceThere, 'owner')
    await until(
      'two owners on Matrix',
      async () => (await power(alice.user)) === 100 || (await power(alice.user)) === 99,
    )
    await alice.setPower(matrixRoom, bens, 75)
    await untilRoles(ana, room, names, { ana: 'owner', ben: 'admin', eve: 'member', alice: 'owner', carol: 'member' })
    await untilSeen(alice, matrixRoom, /powers in this room were set/)
    await until('a power that has a counterpart', async () => (await power(bens)) === 50)

    // Who can read does not change in silence.
    await alice.sendState(matrixRoom, 'm.room.join_rules', { join_rule: 'public' })
    await untilSeen(alice, matrixRoom, /for invited people again/)
    assert.equal((await alice.state(matrixRoom, 'm.room.join_rules'))?.join_rule, 'invite')

    // Removed: by a Matrix user, by a member of the messenger; and back.
    await alice.kick(matrixRoom, eves)
    await untilRoles(ana, room, names, { ana: 'owner', ben: 'admin', alice: 'owner', carol: 'member' })
    await ben.device.removeMember(room, carolThere)
    await untilIs(alice, matrixRoom, carol.user, 'leave')
    await say(ana, room, 'without Carol')
    await untilSeen(alice, matrixRoom, /without Carol/)
    await ana.device.addMembers(room, [carolThere, eve.device.address])
    await untilIs(alice, matrixRoom, carol.user, 'join')
    await untilIs(alice, matrixRoom, eves, 'join')
    await say(ana, room, 'with Carol')
    await untilSeen(carol, matrixRoom, /with Carol/)
    assert.deepEqual(
      (await textsSeen(carol, matrixRoom)).filter((text) => text !== 'with Carol'),
      [],
    )

    // Who leaves is gone on both sides.
    await carol.leave(matrixRoom)
    await untilRoles(ana, room, names, { ana: 'owner', ben: 'admin', eve: 'member', alice: 'owner' })
    await eve.device.leave(room)
    await untilIs(alice, matrixRoom, eves, 'leave')
    await alice.ban(matrixRoom, bens)
    await untilRoles(ana, room, names, { ana: 'owner', alice: 'owner' })
    await ana.device.addMembers(room, [ben.device.address])
    await untilIs(alice, matrixRoom, bens, 'join')

    // When the last Matrix user goes, so do the ghosts.
    await alice.leave(matrixRoom)
    await untilRoles(ana, room, names, { ana: 'owner', ben: 'member' })
    await running.edge.idle()
    const [left] = await world.database.query<{ count: number }>(
      "select count(*) as count from portal where kind = 'group' and room = $1 and state <> 'ended'",
      [room],
    )
    assert.equal(left?.count, 0)
  })

  it('writes nothing readable into the log', () => {
    assert.doesNotMatch(JSON.stringify(world.logged), /alice|carol|@|mimi:|Trip|Choir|welcome/i)
  })
})
