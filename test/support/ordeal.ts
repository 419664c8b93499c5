/**
 * Numbered messages go each way through conversations and groups while the service is killed, its homeserver goes away or
 * loses answers, and its database's connection is cut. At the end each has arrived once and in order, everything was
 * decrypted, no key was used twice, and nothing waits anywhere.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { readText, textMessage } from '../../src/content/index.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { type MessengerPerson, newPerson } from './messenger-person.ts'
import { type MlsLog, mlsLog } from './mls-uses.ts'
import { type PostgresServer, startPostgres } from './postgres.ts'
import { startTestService, type TestService } from './service.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './stub/index.ts'
import { until } from './until.ts'

export interface OrdealOptions {
  /** How often the service is killed; other faults come in between. */
  readonly kills: number
  /** Each between a messenger account and a Matrix user, of whom there are three. */
  readonly conversations: number
  /** Each of two messenger accounts and a Matrix user. */
  readonly groups: number
  /** What each writes into each of their rooms at least. */
  readonly messagesEach: number
  readonly database: 'pglite' | 'postgres'
  /** Chooses moments and faults; the same number chooses the same. */
  readonly seed: number
  readonly print: (line: string) => void
}

/** What one of those in a room writes there. */
interface Lane {
  readonly name: string
  readonly say: (text: string) => Promise<unknown>
  /** Those who read it. */
  readonly readers: readonly string[]
  sent: number
}

interface World extends AsyncDisposable {
  readonly stub: StubHomeserver
  readonly service: TestService
  readonly postgres: PostgresServer | undefined
  readonly lanes: readonly Lane[]
  readonly people: readonly MessengerPerson[]
  readonly users: readonly StubUser[]
  readonly logs: readonly { log: MlsLog; person: MessengerPerson; rooms: RoomId[] }[]
  /** Reader → lane → numbers, as they came. */
  readonly heard: ReadonlyMap<string, Map<string, number[]>>
}

/** Restart, back-off on all sides, and a machine that does other things too. */
const patienceMs = 10 * 60_000
/** A lane in which nothing has come for so long is stuck. */
const stuckMs = 2 * 60_000
const matrixUsers = 3

/** The whole of it. Fails with what did not hold. @returns how many messages there were */
export async function runOrdeal(options: OrdealOptions): Promise<{ messages: number }> {
  const { print, kills } = options
  const random = randomOf(options.seed)
  await using world = await openWorld(options)
  print(`${world.lanes.length} lanes are open; ${kills} kills follow`)
  let over = false
  const talking = world.lanes.map((lane) => talk(lane, () => over, options.messagesEach, random))
  try {
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(30 + random() * 400)
      const fault = await disturb(world, random)
      if (kill % 10 === 0 || kill === kills)
        print(`kill ${kill} of ${kills} (${fault}), ${sentIn(world)} messages so far`)
    }
  } finally {
    over = true
  }
  await Promise.all(talking)
  print(`${sentIn(world)} messages were sent; the rest arrives`)
  await settled(world)
  await audit(world)
  return { messages: sentIn(world) }
}

const sentIn = ({ lanes }: World) => lanes.reduce((sum, { sent }) => sum + sent, 0)

async function talk(lane: Lane, over: () => boolean, atLeast: number, random: () => number): Promise<void> {
  while (!over() || lane.sent < atLeast) {
    await lane.say(`${lane.name} ${++lane.sent}`)
    // Bursts and pauses, so that a fault meets batches and single messages; who has said enough goes on more slowly, or a
    // slow machine would still be busy with it long after the last kill.
    const calm = lane.sent < atLeast ? 1 : 10
    await sleep(calm * (random() < 0.7 ? 5 : 200 * random()))
  }
}

/** One kill, with what else goes wrong about it. */
async function disturb({ stub, service, postgres }: World, random: () => number): Promise<string> {
  const chance = random()
  const homeserverAway = async (ms: number) => {
    await stub.interrupt()
    await sleep(ms)
    await stub.resume()
  }
  if (chance < 0.1) {
    await Promise.all([homeserverAway(500 * random()), service.kill()])
    await service.start()
    return 'homeserver away'
  }
  if (chance < 0.2) {
    await service.kill()
    const starting = service.start().catch(() => {})
    await sleep(1500 * random())
    await service.kill()
    await starting
    await service.start()
    return 'killed while it started'
  }
  if (chance < 0.3 && postgres) {
    await postgres.interrupt()
    await sleep(300 * random())
    await postgres.resume()
    await sleep(300 * random())
    await service.kill()
    await service.start()
    return 'database away'
  }
  if (chance < 0.5) stub.loseAnswers(1 + Math.floor(3 * random()))
  await service.kill()
  await service.start()
  return chance < 0.5 ? 'answers lost' : 'killed'
}

/** Everybody has heard what the others wrote; as long as something comes, the rest is waited for. */
async function settled({ lanes, heard, users }: World): Promise<void> {
  const missing = () =>
    lanes.flatMap(({ name, readers, sent }) =>
      readers.flatMap((reader) => {
        const came = heard.get(reader)?.get(name)?.length ?? 0
        return came < sent ? [`${sent - came} of ${sent} of ${name} at ${reader}`] : []
      }),
    )
  let before = ''
  for (let since = Date.now(), left = missing(); left.length > 0; left = missing()) {
    if (left.join() !== before) since = Date.now()
    before = left.join()
    const unread = users.map(({ user, unread }) => `${unread} unread at ${user}`)
    assert.ok(Date.now() - since < stuckMs, `nothing has come any more: ${[...left, ...unread].join(', ')}`)
    await sleep(200)
  }
}

async function audit(world: World): Promise<void> {
  const { lanes, heard, users, people, stub, service, logs } = world
  for (const { name, readers, sent } of lanes)
    for (const reader of readers) {
      const numbers = heard.get(reader)!.get(name)!
      const wrong = numbers.findIndex((number, index) => number !== index + 1)
      assert.equal(
        wrong,
        -1,
        `${name} at ${reader}: ${numbers.slice(Math.max(0, wrong - 3), wrong + 4)} around ${wrong}`,
      )
      assert.equal(numbers.length, sent, `${name} at ${reader}`)
    }
  for (const { user, unread } of users) assert.equal(unread, 0, `${user} cannot read everything`)
  for (const { faults } of people)
    assert.deepEqual(
      faults.filter((fault) => !fault.startsWith('fault')),
      [],
    )
  const megolm = megolmKeys(stub)
  assert.equal(new Set(megolm.keys()).size, megolm.length, 'a Megolm key was used twice')
  for (const [key, uses] of Map.groupBy(megolm, ([key]) => key))
    assert.equal(new Set(uses.map(([, text]) => text)).size, 1, `${key} was used for two messages`)
  for (const { log, person, rooms } of logs)
    for (const room of rooms) {
      await log.noteEpochs(person.storage, room)
      const uses = await log.uses(room)
      assert.equal(new Set(uses).size, uses.length, 'an MLS key was used twice')
    }
  // What the homeserver keeps for the ghosts' devices goes when they have read it, at the latest after a start.
  assert.equal(await service.stop(), true, 'it did not end in order')
  await service.start()
  await until('empty device inboxes', () => stub.ghostInbox() === 0, patienceMs)
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  for (const stage of ['from-matrix', 'to-matrix', 'to-ghosts'])
    assert.ok(metrics.includes(`silta_edge_queue_depth{stage="${stage}"} 0\n`), `something waits ${stage}`)
}

/** Session and index of each encrypted event, with its ciphertext (Megolm specification, message format). */
function megolmKeys({ rooms }: StubHomeserver): [key: string, ciphertext: string][] {
  const keys: [string, string][] = []
  for (const { timeline } of rooms.rooms.values())
    for (const { type, content } of timeline) {
      if (type !== 'm.room.encrypted') continue
      const ciphertext = String(content.ciphertext)
      const bytes = Buffer.from(ciphertext.slice(0, 20), 'base64')
      let index = 0
      for (let at = 2, shift = 0; ; at++, shift += 7) {
        index |= (bytes[at]! & 0x7f) << shift
        if (!(bytes[at]! & 0x80)) break
      }
      keys.push([`${content.session_id} ${index}`, ciphertext])
    }
  return keys
}

async function openWorld(options: OrdealOptions): Promise<World> {
  const closing: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const one of closing.splice(0).reverse()) await one()
  }
  try {
    return { ...(await fillWorld(options, closing)), [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

async function fillWorld(
  options: OrdealOptions,
  closing: (() => Promise<unknown>)[],
): Promise<Omit<World, keyof AsyncDisposable>> {
  const postgres = options.database === 'postgres' ? await startPostgres() : undefined
  if (postgres) closing.push(() => postgres.stop())
  const stub = await stubHomeserver({ keep: false })
  closing.push(async () => stub[Symbol.asyncDispose]())
  const service = await startTestService({
    synapse: stub,
    environment: {
      SILTA_LIMITS_STRANGERS_PER_HOUR: '10000',
      ...(postgres ? { SILTA_DATABASE_URL: postgres.url } : {}),
    },
  })
  closing.push(async () => service[Symbol.asyncDispose]())
  const heard = new Map<string, Map<string, number[]>>()
  const note = (reader: string, text: unknown) => {
    const match = typeof text === 'string' ? /^(\S+) (\d+)$/.exec(text) : null
    if (!match) return
    const lanes = heard.get(reader) ?? new Map<string, number[]>()
    heard.set(reader, lanes)
    lanes.set(match[1]!, [...(lanes.get(match[1]!) ?? []), Number(match[2])])
  }
  /** Text → where on Matrix it was read. */
  const greetings = new Map<string, string>()
  const users: StubUser[] = []
  for (let number = 0; number < matrixUsers; number++) {
    const user = await stub.user(`user${number}`)
    user.onSeen = ({ content, room }) => {
      note(user.user, content.body)
      if (typeof content.body === 'string' && content.body.startsWith('greeting')) greetings.set(content.body, room)
    }
    users.push(user)
  }
  const people: MessengerPerson[] = []
  const logs: { log: MlsLog; person: MessengerPerson; rooms: RoomId[] }[] = []
  const lanes: Lane[] = []
  const newcomer = async (name: string) => {
    const log = mlsLog()
    const person = await newPerson(service.url, name, { onFrame: log.onFrame })
    closing.push(() => person.close())
    person.device.on('message', ({ content, own }) => void (own || note(name, readText(content)?.plain)))
    people.push(person)
    const entry = { log, person, rooms: [] as RoomId[] }
    logs.push(entry)
    return { name, person, rooms: entry.rooms }
  }
  const sayAs = (person: MessengerPerson, room: RoomId) => (text: string) =>
    person.device.send(room, textMessage({ plain: text }))
  const roomOnMatrix = async (person: MessengerPerson, room: RoomId, greeting: string) => {
    await sayAs(person, room)(greeting)
    await until(`the Matrix room of "${greeting}"`, () => greetings.has(greeting), patienceMs)
    return greetings.get(greeting)!
  }
  for (let number = 0; number < options.conversations; number++) {
    const user = users[number % matrixUsers]!
    const one = await newcomer(`person-${number}`)
    const room = await one.person.device.conversationWith({ network: 'matrix', value: user.user })
    const matrixRoom = await roomOnMatrix(one.person, room, `greeting of ${one.name}`)
    one.rooms.push(room)
    lanes.push({ name: `c${number}-out`, say: sayAs(one.person, room), readers: [user.user], sent: 0 })
    lanes.push({ name: `c${number}-in`, say: (text) => user.send(matrixRoom, text), readers: [one.name], sent: 0 })
  }
  for (let number = 0; number < options.groups; number++) {
    const user = users[number % matrixUsers]!
    const [one, other] = [await newcomer(`maker-${number}`), await newcomer(`member-${number}`)]
    // Nobody is added to a group by a stranger.
    await other.person.device.answerConsent(one.person.device.address, true)
    const address = await one.person.device.lookUp({ network: 'matrix', value: user.user })
    const members = [other.person.device.address, address]
    const room = await one.person.device.createGroup({ name: `Group ${number}`, members })
    const matrixRoom = await roomOnMatrix(one.person, room, `greeting of ${one.name}`)
    await until('the group', async () => (await other.person.device.room(room))?.joined === true, patienceMs)
    // What somebody writes on Matrix before they are in the group there is told them as not sent.
    const hello = `g${number}-hello`
    await until(
      `what ${user.user} says in the group`,
      async () => {
        if ([one.name, other.name].every((name) => heard.get(name)?.has(hello))) return true
        await user.send(matrixRoom, `${hello} 1`)
        await sleep(1_000)
        return false
      },
      patienceMs,
    )
    one.rooms.push(room)
    const [makes, joins, user0] = [one.name, other.name, user.user]
    lanes.push({ name: `g${number}-a`, say: sayAs(one.person, room), readers: [joins, user0], sent: 0 })
    lanes.push({ name: `g${number}-b`, say: sayAs(other.person, room), readers: [makes, user0], sent: 0 })
    lanes.push({ name: `g${number}-m`, say: (text) => user.send(matrixRoom, text), readers: [makes, joins], sent: 0 })
  }
  for (const { log, person, rooms } of logs) for (const room of rooms) await log.noteEpochs(person.storage, room)
  return { stub, service, postgres, lanes, people, users, logs, heard }
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
