/** The service is killed while members of a group come and go, on both sides, against a homeserver in memory. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { textMessage } from '../src/content/index.ts'
import { groupSteps } from '../src/edge/index.ts'
import type { AccountAddress, RoomId } from '../src/identity/index.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { until } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

/** Many at once at first, then ever slower: a busy machine comes to a step late. */
const roundMs = 40
const mostPauseMs = 2_000
const mostRounds = 70
const patienceMs = 90_000

describe('Silta, killed while a group changes', () => {
  let stub: StubHomeserver
  let service: TestService
  let ana: MessengerPerson
  let eve: MessengerPerson
  let alice: StubUser
  let carol: StubUser
  let room: RoomId
  let matrixRoom: string
  const accounts: Record<string, AccountAddress> = {}
  const fromAna: string[] = []
  const fromAlice: string[] = []

  const roomNamed = (name: string) =>
    [...stub.rooms.rooms.values()].filter(({ state }) => state.get('m.room.name|')?.content.name === name)
  const anaSays = async (text: string) => {
    fromAna.push(text)
    await ana.device.send(room, textMessage({ plain: text }))
  }
  const aliceSays = async (text: string) => {
    fromAlice.push(text)
    await alice.send(matrixRoom, text)
  }
  const textsAtAlice = () =>
    alice.seen
      .filter((one) => one.room === matrixRoom && one.content.msgtype === 'm.text')
      .map(({ content }) => content.body)

  const onMessenger = async () => {
    const { name, members } = await ana.device.group(room)
    const names = new Map(Object.entries(accounts).map(([who, account]) => [account, who]))
    return { name, members: members.map(({ address, role }) => `${names.get(address)} ${role}`).sort() }
  }
  const onMatrix = () => {
    const { members, state } = stub.rooms.roomOf(matrixRoom)
    const content = state.get('m.room.power_levels|')?.content as { users: Record<string, number> }
    const there = [...members].flatMap(([user, membership]) => {
      if (user.startsWith('@silta:') || (membership !== 'join' && membership !== 'invite')) return []
      const shown = state.get(`m.room.member|${user}`)?.content.displayname
      const level = content.users[user] ?? 0
      const role = level >= 99 ? 'owner' : level >= 50 ? 'admin' : 'member'
      const who = user.startsWith('@silta_') ? String(shown) : user.slice(1, user.indexOf(':'))
      return membership === 'join' ? [`${who} ${role}`] : [`${who} invited`]
    })
    return { name: String(state.get('m.room.name|')?.content.name), members: there.sort() }
  }
  const settled = async () => {
    await until('agreement', async () => isDeepStrictEqual(await onMessenger(), onMatrix()), patienceMs).catch(
      async (error) => {
        throw new Error(JSON.stringify({ messenger: await onMessenger(), matrix: onMatrix() }), { cause: error })
      },
    )
    await until('all at Ana', () => ana.heard.texts.length >= fromAlice.length, patienceMs)
    await until('all at Alice', () => textsAtAlice().length >= fromAna.length, patienceMs)
    assert.deepEqual(ana.heard.texts, fromAlice)
    assert.deepEqual(textsAtAlice(), fromAna)
    assert.deepEqual(await onMessenger(), onMatrix())
  }

  before(async () => {
    stub = await stubHomeserver()
    service = await startTestService({ synapse: stub })
    ;[alice, carol] = [await stub.user('alice'), await stub.user('carol')]
    ;[ana, eve] = [await newPerson(service.url, 'ana'), await newPerson(service.url, 'eve')]
    await ana.device.setProfile({ name: 'ana' })
    await eve.device.setProfile({ name: 'eve' })
    accounts.ana = ana.device.address
    accounts.eve = eve.device.address
    for (const { user } of [alice, carol])
      accounts[user.slice(1, user.indexOf(':'))] = await ana.device.lookUp({ network: 'matrix', value: user })
    for (const account of Object.values(accounts))
      if (account !== eve.device.address) await eve.device.answerConsent(account, true)
    room = await ana.device.createGroup({ name: 'begun', members: [accounts.alice!, accounts.eve!] })
    await until('the Matrix room', () => roomNamed('begun').length === 1, patienceMs)
    matrixRoom = roomNamed('begun')[0]!.id
    await ana.device.setRole(room, accounts.alice!, 'owner')
    await settled()
    await anaSays('hello')
    await aliceSays('hello too')
    await settled()
  })
  after(async () => {
    await ana?.close()
    await eve?.close()
    await service?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  /** Members, roles and the name change on both sides, and both write, until the service is dead. */
  const changeUntilDead = async (about: string) => {
    const under: Promise<unknown>[] = []
    const free = (work: Promise<unknown>) => under.push(work.catch(() => {}))
    for (let round = 1, alive = true; alive; round++) {
      alive = service.running
      assert.ok(round <= mostRounds, 'the step was not reached')
      const even = round % 2 === 0
      const { members } = stub.rooms.roomOf(matrixRoom)
      if (even) free(ana.device.addMembers(room, [accounts.eve!]))
      else free(ana.device.removeMember(room, accounts.eve!))
      const carols = members.get(carol.user)
      if (carols === 'join') stub.rooms.leave(matrixRoom, carol.user, alice.user)
      else if (carols !== 'invite') stub.rooms.invite(matrixRoom, alice.user, carol.user)
      if (round % 3 === 0) stub.rooms.putState(matrixRoom, alice.user, 'm.room.name', '', { name: `${about} ${round}` })
      await anaSays(`${about}, Ana ${round}`)
      await aliceSays(`${about}, Alice ${round}`)
      await sleep(Math.min(roundMs * round, mostPauseMs))
    }
    return under
  }

  for (const step of groupSteps.filter((step) => step !== 'matrix.group.made'))
    it(`at ${step}: both sides agree, and all arrives once, in order`, async () => {
      await service.dieAt(step, 2)
      const under = await changeUntilDead(step)
      await service.ended()
      await service.start()
      await Promise.all(under)
      await settled()
    })

  it('at any other moment: both sides agree, and all arrives once, in order', async () => {
    for (let round = 1; round <= 3; round++) {
      const changing = changeUntilDead(`any moment ${round}`)
      await sleep(1200 * Math.random())
      await service.kill()
      const under = await changing
      await service.start()
      await Promise.all(under)
      await settled()
    }
  })

  it('when a Matrix room was made and not noted: it is found, and there is one', async () => {
    await service.dieAt('matrix.group.made')
    const making = ana.device.createGroup({ name: 'made once', members: [accounts.alice!] })
    await service.ended()
    await service.start()
    const made = await making
    await until(
      'Alice in it',
      () => roomNamed('made once').some(({ members }) => members.get(alice.user) === 'join'),
      patienceMs,
    )
    await ana.device.send(made, textMessage({ plain: 'in one room' }))
    await until('the message', () => alice.seen.some(({ content }) => content.body === 'in one room'), patienceMs)
    assert.equal(roomNamed('made once').length, 1)
  })
})
