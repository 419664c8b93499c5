// What comes late or never: room keys, devices, the homeserver, the right time.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type EdgeWorld, edgeWorld, hear, hex, person, type RunningEdge } from './support/edge-world.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'
import { until } from './support/until.ts'

const hour = 3_600_000
const day = 24 * hour
const patienceMs = 120_000
type Json = Record<string, unknown>

describe('an edge to which things come late or never', () => {
  /** How far the time of hub, edge and devices is ahead of this machine's, ms. */
  let ahead = 0
  /** How far the homeserver's is. */
  let homeserverAhead = 0
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let alice: StubUser
  /** What happens to the room keys in the homeserver's transactions. */
  let withKeys: (messages: Json[]) => Json[] = (messages) => messages

  const clock = () => Date.now() + ahead
  const startEdge = async (skew = 0) => {
    running = await world.startEdge({
      clock: () => clock() + skew,
      settings: {
        portals: {
          missingKeyMs: 500,
          missingKeyMostMs: 5_000,
          missingKeyRetryMs: 100,
          roomSettleMs: 1_000,
          expireEveryMs: 500,
        },
      },
      pushed(transaction) {
        const messages = (transaction['de.sorunome.msc2409.to_device'] ?? []) as Json[]
        const left = withKeys(messages)
        return { ...transaction, to_device: left, 'de.sorunome.msc2409.to_device': left }
      },
    })
  }
  const restartEdge = async (skew = 0) => {
    await running.close()
    await startEdge(skew)
  }
  before(async () => {
    stub = await stubHomeserver({ clock: () => Date.now() + homeserverAhead })
    world = await edgeWorld(stub, { clock })
    await startEdge()
    alice = await stub.user('alice')
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  /** Somebody on the messenger in an accepted conversation with Alice, in which each has said one thing. */
  const conversation = async (name: string) => {
    const other = await person(world, name)
    const room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    await other.device.send(room, textMessage({ plain: `hello from ${name}` }))
    await seenByAlice(`hello from ${name}`)
    const matrixRoom = alice.seen.find(({ content }) => content.body === `hello from ${name}`)!.room
    await alice.send(matrixRoom, `hello ${name}`)
    await until('the answer', () => other.heard.texts.includes(`hello ${name}`), patienceMs)
    return { ...other, room, matrixRoom }
  }
  const textsAtAlice = (matrixRoom: string) =>
    alice.seen.flatMap(({ room, content }) =>
      room === matrixRoom && content.msgtype === 'm.text' ? [String(content.body)] : [],
    )
  const seenByAlice = (text: string) =>
    until(`"${text}" at Alice`, () => alice.seen.some(({ content }) => content.body === text), patienceMs)
  const says = (
    { device, room }: { device: Awaited<ReturnType<typeof person>>['device']; room: RoomId },
    text: string,
  ) => device.send(room, textMessage({ plain: text }))
  const ghostIn = (matrixRoom: string) =>
    [...stub.rooms.roomOf(matrixRoom).members].find(([member, place]) => place === 'join' && member !== alice.user)![0]
  /** The homeserver has nothing more for a ghost's devices: what was in their inboxes is gone for good. */
  const emptyInbox = (ghost: string) => {
    for (const device of stub.keys.devicesOf(ghost)) stub.keys.take(ghost, device)
  }

  it('shows in the place of a message whose key never comes that it is missing; what follows, and other rooms, go on', async () => {
    const carol = await conversation('carol')
    const dora = await conversation('dora')
    const ghost = ghostIn(carol.matrixRoom)
    withKeys = () => {
      emptyInbox(ghost)
      return []
    }
    alice.newRoomKey(carol.matrixRoom)
    await alice.send(carol.matrixRoom, 'lost')
    await alice.send(dora.matrixRoom, 'elsewhere')
    await until('the other room', () => dora.heard.texts.includes('elsewhere'), patienceMs)
    await until('the placeholder', () => carol.heard.texts.some((text) => /key has not arrived/.test(text)), patienceMs)
    withKeys = (messages) => messages
    alice.newRoomKey(carol.matrixRoom)
    await alice.send(carol.matrixRoom, 'found')
    await until('what follows', () => carol.heard.texts.includes('found'), patienceMs)
    assert.equal(carol.heard.texts.length, 3)
    const notices = alice.seen.filter(
      ({ room, content }) => room === carol.matrixRoom && content.msgtype === 'm.notice',
    )
    assert.ok(
      notices.some(({ content }) => /key/.test(String(content.body))),
      'Alice was not told',
    )
    // Nobody waits for it for ever.
    const late = () => world.database.query('select 1 from portal_late_event')
    assert.equal((await late()).length, 1)
    ahead += 15 * day
    await until('the end of waiting', async () => (await late()).length === 0, patienceMs)
    await restartEdge()
    await alice.send(carol.matrixRoom, 'later')
    await until('what comes weeks later', () => carol.heard.texts.includes('later'), patienceMs)
  })

  it('passes over keys for a device that nobody knows any more, and those that nothing can be made of', async () => {
    const erin = await conversation('erin')
    const ghost = ghostIn(erin.matrixRoom)
    withKeys = (messages) => {
      emptyInbox(ghost)
      const forgotten = messages.map((message) => ({ ...message, to_device_id: 'FORGOTTEN' }))
      const broken = messages.map((message) => ({ ...message, content: { algorithm: 'm.olm.v1', ciphertext: {} } }))
      return [...forgotten, ...broken]
    }
    alice.newRoomKey(erin.matrixRoom)
    await alice.send(erin.matrixRoom, 'to the device of before')
    await until('the placeholder', () => erin.heard.texts.some((text) => /key has not arrived/.test(text)), patienceMs)
    withKeys = (messages) => messages
    alice.newRoomKey(erin.matrixRoom)
    await alice.send(erin.matrixRoom, 'to the device of now')
    await until('what follows', () => erin.heard.texts.includes('to the device of now'), patienceMs)
    await restartEdge()
    await until('empty inboxes', () => stub.ghostInbox() === 0, patienceMs)
    const waiting = await world.database.query('select 1 from ghost_inbox')
    assert.equal(waiting.length, 0)
  })

  it('lets a phone that was away for 31 days enter anew: it is shown the gap, and the conversation goes on', async () => {
    const faye = await conversation('faye')
    // What the edge still had to report of her own messages has come.
    await until('the report', () => faye.heard.delivered.length > 0, patienceMs)
    await faye.device.ready()
    await faye.crash()
    const device = faye.device.deviceId
    /** What waits for her phone at the hub, of before some time. */
    const waiting = async (before = Number.MAX_SAFE_INTEGER) => {
      const [row] = await world.provider.database.query<{ count: number }>(
        `select count(*) as count from hub.log e join hub.mailbox m on m.room_no = e.room_no and m.device_id = $1
          where e.seq > m.acked and e.kind = 1 and e.at < $2`,
        [device, before],
      )
      return Number(row?.count)
    }
    const old = await waiting()
    await alice.send(faye.matrixRoom, 'nobody fetched this')
    await until('the message in the log', async () => (await waiting()) > old, patienceMs)
    // The edge is started now and then; its own documents are renewed.
    for (const days of [10, 10, 11]) {
      ahead += days * day
      await restartEdge()
    }
    await world.provider.hub.clean()
    assert.equal(await waiting(clock() - 30 * day), 0)
    const since = await waiting()
    await alice.send(faye.matrixRoom, 'still there?')
    await until('the message in the log', async () => (await waiting()) > since, patienceMs)
    const gaps: string[] = []
    let heard: ReturnType<typeof hear> | undefined
    const back = await world.provider.reopen(faye.storage, {
      before(device) {
        heard = hear(device)
        device.on('gap', ({ room }) => void gaps.push(room))
      },
    })
    await until('the gap', () => gaps.includes(faye.room), patienceMs)
    await alice.send(faye.matrixRoom, 'welcome back')
    await until('what is said now', () => heard!.texts.includes('welcome back'), patienceMs)
    assert.ok(!heard!.texts.includes('nobody fetched this'))
    await says({ ...back, room: faye.room }, 'thank you')
    await seenByAlice('thank you')
  })

  it('sends nothing twice to a homeserver that was away for hours and has forgotten what it took', async () => {
    const gwen = await conversation('gwen')
    const sent = [await says(gwen, 'before')]
    await seenByAlice('before')
    await running.edge.idle()
    stub.loseAnswers(1)
    sent.push(await says(gwen, 'taken, and its answer lost'))
    await seenByAlice('taken, and its answer lost')
    const before = world.logged.length
    await stub.interrupt()
    for (const text of ['while it was away', 'and more']) sent.push(await says(gwen, text))
    // A request that is under way just now would be a few milliseconds old in truth, and hours by the clock.
    const noticed = (entry: unknown) => JSON.stringify(entry).includes('a portal could not go on')
    await until('the absence to be noticed', () => world.logged.slice(before).some(noticed), patienceMs)
    ahead += 6 * hour
    stub.rooms.forgetSent()
    await stub.resume()
    await seenByAlice('and more')
    await alice.send(gwen.matrixRoom, 'here I am')
    await until('the answer', () => gwen.heard.texts.includes('here I am'), patienceMs)
    await until(
      'the reports',
      () => sent.every(({ messageId }) => gwen.heard.delivered.includes(hex(messageId))),
      patienceMs,
    )
    assert.deepEqual(textsAtAlice(gwen.matrixRoom).slice(1), [
      'before',
      'taken, and its answer lost',
      'while it was away',
      'and more',
    ])
  })

  for (const [whose, wrong] of [
    [
      'homeserver',
      async (skew: number) => {
        homeserverAhead = skew
      },
    ],
    ['edge', (skew: number) => restartEdge(skew)],
    [
      'hub',
      async (skew: number) => {
        ahead += skew
      },
    ],
  ] as const)
    it(`carries messages each way while the ${whose}'s clock is wrong, and when it is set right`, async () => {
      const ivy = await conversation(`ivy at ${whose}`)
      for (const [number, skew] of [2 * day, -2 * day, 0].entries()) {
        await wrong(skew)
        for (const word of ['one', 'two']) {
          await says(ivy, `${word} ${number}`)
          await alice.send(ivy.matrixRoom, `${word} back ${number}`)
        }
        await until('her messages', () => ivy.heard.texts.includes(`two back ${number}`), patienceMs)
        await until('hers at Alice', () => textsAtAlice(ivy.matrixRoom).includes(`two ${number}`), patienceMs)
      }
      const all = (back: string) => [0, 1, 2].flatMap((number) => [`one ${back}${number}`, `two ${back}${number}`])
      assert.deepEqual(ivy.heard.texts.slice(1), all('back '))
      assert.deepEqual(textsAtAlice(ivy.matrixRoom).slice(1), all(''))
    })

  it('tells the sender of what has waited for weeks for somebody who did not come in; whoever comes then has what is new', async () => {
    const fritz = await stub.user('fritz')
    const bot = `@${stub.registration.botLocalpart}:${stub.domain}`
    const chat = fritz.createRoom([bot])
    await until('the bot', () => fritz.seen.some(({ room }) => room === chat), patienceMs)
    fritz.joins = false
    const gus = await person(world, 'gus')
    await gus.device.setHandle('gus')
    await fritz.send(chat, 'start gus')
    const direct = async () => (await gus.device.rooms()).find(({ kind }) => kind === 'direct')
    await until('the request', async () => (await direct()) !== undefined, patienceMs)
    const { id: room } = (await direct())!
    await gus.device.accept(room)
    const { messageId } = await says({ device: gus.device, room }, 'nobody comes')
    const waiting = () => world.database.query("select 1 from portal_outbox where kind = 'message'")
    await until('it to wait', async () => (await waiting()).length === 1, patienceMs)
    await running.edge.idle()
    assert.deepEqual(gus.heard.outcomes, [])

    ahead += 15 * day
    await until('the outcome', () => gus.heard.outcomes.length > 0, patienceMs)
    assert.deepEqual(gus.heard.outcomes, [{ outcome: 'rejected', code: 'expired', messageId: hex(messageId) }])
    await running.edge.idle()
    assert.deepEqual(await waiting(), [])
    const [matrixRoom = ''] = fritz.invited
    const encrypted = () => stub.rooms.roomOf(matrixRoom).timeline.filter(({ type }) => type === 'm.room.encrypted')
    assert.deepEqual(encrypted(), [])

    stub.rooms.join(matrixRoom, fritz.user)
    const bodies = () =>
      fritz.seen.flatMap(({ room, content }) => (room === matrixRoom && content.body ? [String(content.body)] : []))
    await says({ device: gus.device, room }, 'still here')
    await until('what is new', () => bodies().includes('still here'), patienceMs)
    assert.match(bodies()[0] ?? '', /can read this chat/)
    assert.ok(!bodies().includes('nobody comes'))
  })
})
