/** Invitations into rooms of servers that never answer, against a homeserver in memory. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { openMetrics } from '../src/ops/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

const hour = 3_600_000
const count = 30

describe('invitations that cannot be followed', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge | undefined
  let metrics: ReturnType<typeof openMetrics>
  let alice: StubUser
  let mallory: StubUser
  let other: Awaited<ReturnType<typeof person>>
  let room: RoomId
  let ghost: string
  let bot: string
  /** Rooms of which no join is answered. */
  const gone = new Set<string>()
  /** Joins of these under way, and the most at once. */
  let [joining, most] = [0, 0]

  const start = async (joinTimeoutMs: number) => {
    await running?.close()
    metrics = openMetrics()
    running = await world.startEdge({
      metrics,
      settings: { matrix: { joinTimeoutMs, roomRetryMaxMs: 1_000 }, portals: { invitationMs: 2_000 } },
      async fetch(input, init) {
        const [, name] = /\/join\/([^?]*)/.exec(String(input)) ?? []
        if (name === undefined || !gone.has(decodeURIComponent(name))) return fetch(input, init)
        const signal = init!.signal!
        most = Math.max(most, ++joining)
        if (!signal.aborted) await once(signal, 'abort')
        joining--
        throw new Error('no answer')
      },
    })
  }
  const texts = (user: StubUser) =>
    user.seen.filter(({ content }) => content.msgtype === 'm.text').map(({ content }) => String(content.body))
  const waiting = async () => (await world.database.query('select room from appservice_event')).length
  const invite = (who: string) => {
    const made = mallory.createRoom([])
    gone.add(made)
    stub.rooms.invite(made, mallory.user, who)
  }
  const talk = async (words: string) => {
    await other.device.send(room, textMessage({ plain: `${words}: person` }))
    await until('it at Alice', () => texts(alice).includes(`${words}: person`))
    await alice.send(alice.joined[0]!, `${words}: Alice`)
    await until('hers', () => other.heard.texts.includes(`${words}: Alice`))
  }

  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub, { hub: { strangersPerHour: 100_000 } })
    await start(hour)
    ;[alice, mallory] = await Promise.all([stub.user('alice'), stub.user('mallory')])
    other = await person(world, 'person')
    room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    await until('the room', () => alice.joined.length > 0)
    await talk('before')
    ghost = [...stub.rooms.roomOf(alice.joined[0]!).members.keys()].find((user) => user !== alice.user)!
    bot = `@${stub.registration.botLocalpart}:${stub.domain}`
  })
  beforeEach(() => {
    most = 0
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  it('hold up no conversation, however many there are', async () => {
    for (let made = 0; made < count; made++) invite(made % 2 === 0 ? ghost : bot)
    await until('the joins', () => joining >= 6)
    await talk('meanwhile')
    assert.equal(most, 6)
    assert.equal(await waiting(), count)
  })

  it('hold up no new one for long, once they have failed', async () => {
    await start(300)
    const fresh = await stub.user('fresh')
    const made = fresh.createRoom([bot])
    await until('the bot', () => stub.rooms.roomOf(made).members.get(bot) === 'join')
  })

  it('are turned down at last, and counted', async () => {
    await until('the end', async () => (await waiting()) === 0, 90_000)
    const isTurnedDown = (each: string) => [...stub.rooms.roomOf(each).members.values()].includes('leave')
    await until('all to be turned down', () => [...gone].every(isTurnedDown))
    const text = await metrics.render()
    assert.match(text, new RegExp(`silta_edge_faults_total\\{code="invitation"\\} ${count}\\b`))
    await talk('afterwards')
  })
})
