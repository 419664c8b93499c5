/** Devices of Matrix users that are closed while nothing happens, against a homeserver in memory. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

describe("a Matrix user's device with which nothing happens", () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let made = 0

  const start = async (idleUserMs = 200) => {
    running = await world.startEdge({ settings: { portals: { idleUserMs, userLeaseMs: 600 } } })
  }
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub, { hub: { strangersPerHour: 100_000 } })
    await start()
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const conversation = async () => {
    const alice = await stub.user(`alice${++made}`)
    const other = await person(world, `person ${made}`)
    const room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    await say(other, room, 'hello')
    await until('hello', () => texts(alice).includes('hello'))
    const account = (await other.device.room(room))!.other!
    return { alice, other, room, account, matrixRoom: alice.joined[0]! }
  }
  const say = async ({ device }: Awaited<ReturnType<typeof person>>, room: RoomId, plain: string) =>
    (await device.send(room, textMessage({ plain }))).accepted
  const texts = (user: StubUser) =>
    user.seen.filter(({ content }) => content.msgtype === 'm.text').map(({ content }) => String(content.body))
  const notices = (user: StubUser) =>
    user.seen.filter(({ content }) => content.msgtype === 'm.notice').map(({ content }) => String(content.body))
  const sleeps = async (account: string) => {
    const rows = await world.database.query('select 1 from matrix_user where account = $1 and due_at > 0', [account])
    return rows.length > 0
  }
  const asleep = (account: string) => until('sleep', () => sleeps(account))

  it('is closed, and opened by a message from either side', async () => {
    const { alice, other, room, account, matrixRoom } = await conversation()
    const sent: string[] = ['hello']
    for (let round = 1; round <= 3; round++) {
      await asleep(account)
      sent.push(`to Alice ${round}`)
      await say(other, room, sent.at(-1)!)
      await until('it', () => texts(alice).length === sent.length)
      await asleep(account)
      await alice.send(matrixRoom, `from Alice ${round}`)
      await until('hers', () => other.heard.texts.length === round)
    }
    assert.deepEqual(texts(alice), sent)
    assert.deepEqual(other.heard.texts, ['from Alice 1', 'from Alice 2', 'from Alice 3'])
  })

  it('hears what is no message: who leaves is gone', async () => {
    const { alice, other, room, account } = await conversation()
    await asleep(account)
    await other.device.leave(room)
    await until('the end', () => notices(alice).some((said) => /left|ended/i.test(said)))
  })

  it('stays closed over a restart, until something comes for it', async () => {
    const [first, second, third] = [await conversation(), await conversation(), await conversation()]
    for (const { account } of [first, second, third]) await asleep(account)
    await running.close()
    await say(first.other, first.room, 'while away')
    await second.alice.send(second.matrixRoom, 'from Matrix while away')
    await start()
    await until('it', () => texts(first.alice).includes('while away'))
    await until('the other', () => second.other.heard.texts.includes('from Matrix while away'))
    assert.equal(await sleeps(third.account), true, 'nothing came for it')
    await say(third.other, third.room, 'later')
    await until('the third', () => texts(third.alice).includes('later'))
    assert.deepEqual(texts(third.alice), ['hello', 'later'])
  })

  for (const [answer, said] of [
    ['accept', /accepted/i],
    ['decline', /does not wish|declined/i],
  ] as const)
    it(`hears an answer that was given while the bridge was down: ${answer}`, async () => {
      const alice = await stub.user(`asking alice${++made}`)
      const other = await person(world, `asked ${made}`)
      await other.device.setHandle(`asked${made}`)
      const bot = `@${stub.registration.botLocalpart}:${stub.domain}`
      const chat = alice.createRoom([bot])
      await until('the bot', () => notices(alice).some((one) => /What I understand/.test(one)))
      await alice.send(chat, `start asked${made}`)
      await until('the request', async () => (await other.device.rooms()).some(({ kind }) => kind === 'direct'))
      const { id, other: account } = (await other.device.rooms()).find(({ kind }) => kind === 'direct')!
      await until('the wait', () => notices(alice).some((one) => /Your request was sent/.test(one)))
      await asleep(account!)
      await running.close()
      await other.device[answer](id)
      await start()
      await until('the word of it', () => notices(alice).some((one) => said.test(one)))
    })

  it('is opened at the start when the process died while it was open', async () => {
    const { alice, other, account, matrixRoom } = await conversation()
    await asleep(account)
    await running.close()
    await start(600_000)
    await alice.send(matrixRoom, 'up')
    await until('up', () => other.heard.texts.includes('up'))
    assert.equal(await sleeps(account), false, 'a process that dies now would leave it for a day')
    await running.close()
    // As that process leaves it.
    await world.database.query('update matrix_user set due_at = 0 where account = $1', [account])
    await start()
    await asleep(account)
    await alice.send(matrixRoom, 'and on')
    await until('it', () => other.heard.texts.includes('and on'))
  })

  it('can be opened again when the database failed while it was being closed', async () => {
    const { alice, other, room, account, matrixRoom } = await conversation()
    await world.database.query(
      "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$",
    )
    await world.database.query(
      'create trigger refuse before update on matrix_user for each row when (new.due_at > 0) execute function refuse()',
    )
    const held = async () => {
      const rows = await world.database.query(
        "select 1 from lease where name like 'matrix user %' and held_until > now_ms()",
      )
      return rows.length > 0
    }
    await until('the lease given back', async () => !(await held()))
    assert.equal(await sleeps(account), false)
    await world.database.query('drop trigger refuse on matrix_user')
    await alice.send(matrixRoom, 'still there?')
    await until('the question', () => other.heard.texts.includes('still there?'))
    await say(other, room, 'yes')
    await until('the answer', () => texts(alice).includes('yes'))
  })
})
