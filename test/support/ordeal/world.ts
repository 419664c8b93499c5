/** Who takes part in the ordeal, and where. */
import { setTimeout as sleep } from 'node:timers/promises'
import { readText, textMessage } from '../../../src/content/index.ts'
import type { RoomId } from '../../../src/identity/index.ts'
import { hex } from '../heard.ts'
import { type MessengerPerson, newPerson } from '../messenger-person.ts'
import { type MlsLog, mlsLog } from '../mls-uses.ts'
import { type PostgresServer, startPostgres } from '../postgres.ts'
import { startTestService, type TestService } from '../service.ts'
import { type SmallDisk, smallDisk } from '../small-disk.ts'
import { until } from '../until.ts'
import { type OrdealHomeserver, type OrdealUser, real, stubbed } from './homeserver.ts'

export interface WorldOptions {
  /** Each between a messenger account and a Matrix user, of whom there are three. */
  readonly conversations: number
  /** Each of two messenger accounts and a Matrix user. */
  readonly groups: number
  readonly database: 'pglite' | 'postgres'
  readonly homeserver: 'stub' | 'synapse'
  /** Puts the database on a disk that can be full; it must be possible to mount one. */
  readonly smallDisk?: boolean
}

/** What one of those in a room writes there. */
export interface Lane {
  readonly name: string
  readonly say: (text: string) => Promise<unknown>
  /** Those who read it. */
  readonly readers: readonly string[]
  sent: number
}

/** What somebody has read: numbers of lanes, and placeholders of what could not be read yet, which it replaces when it can. */
export interface Heard {
  readonly entries: { lane?: string; number?: number; id?: string }[]
  /** How much has come of each lane. */
  readonly counts: Map<string, number>
}

export interface World extends AsyncDisposable {
  readonly homeserver: OrdealHomeserver
  readonly service: TestService
  readonly postgres: PostgresServer | undefined
  readonly disk: SmallDisk | undefined
  readonly lanes: readonly Lane[]
  readonly people: readonly MessengerPerson[]
  readonly users: readonly OrdealUser[]
  readonly logs: readonly { log: MlsLog; person: MessengerPerson; rooms: RoomId[] }[]
  /** Reader → what came, in its order. */
  readonly heard: ReadonlyMap<string, Heard>
}

/** Restart, back-off on all sides, and a machine that does other things too. */
export const patienceMs = 10 * 60_000
const matrixUsers = 3
/** Room for a database, its log and what it writes while the rest is taken. */
const diskMegabytes = 1024

export async function openWorld(options: WorldOptions): Promise<World> {
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
  options: WorldOptions,
  closing: (() => Promise<unknown>)[],
): Promise<Omit<World, keyof AsyncDisposable>> {
  const disk = options.smallDisk ? smallDisk(diskMegabytes) : undefined
  if (options.smallDisk && !disk) throw new Error('no disk can be mounted here')
  if (disk) closing.push(async () => disk.remove())
  const within = disk ? [disk.folder] : []
  const postgres = options.database === 'postgres' ? await startPostgres([], ...within) : undefined
  if (postgres) closing.push(() => postgres.stop())
  const homeserver = await (options.homeserver === 'synapse' ? real() : stubbed())
  closing.push(async () => homeserver[Symbol.asyncDispose]())
  const service = await startTestService({
    synapse: homeserver.access,
    ...(disk && { within: disk.folder }),
    environment: {
      SILTA_LIMITS_STRANGERS_PER_HOUR: '10000',
      ...(postgres ? { SILTA_DATABASE_URL: postgres.url } : {}),
    },
  })
  closing.push(async () => service[Symbol.asyncDispose]())
  const heard = new Map<string, Heard>()
  const note = (reader: string, text: string, id?: string, replaces?: string) => {
    const { entries, counts }: Heard = heard.get(reader) ?? { entries: [], counts: new Map() }
    heard.set(reader, { entries, counts })
    const [, lane, number] = /^(\S+) (\d+)$/.exec(text) ?? []
    if (lane !== undefined) counts.set(lane, (counts.get(lane) ?? 0) + 1)
    const what = lane === undefined ? {} : { lane, number: Number(number) }
    const place = replaces === undefined ? undefined : entries.find((entry) => entry.id === replaces)
    if (place) Object.assign(place, what)
    else entries.push({ ...what, ...(id !== undefined && { id }) })
  }
  /** Text → where on Matrix it was read. */
  const greetings = new Map<string, string>()
  const users: OrdealUser[] = []
  for (let number = 0; number < matrixUsers; number++) {
    const user = await homeserver.user(`user${number}`, (text, room) => {
      note(user.user, text)
      if (text.startsWith('greeting')) greetings.set(text, room)
    })
    users.push(user)
  }
  const people: MessengerPerson[] = []
  const logs: { log: MlsLog; person: MessengerPerson; rooms: RoomId[] }[] = []
  const lanes: Lane[] = []
  const newcomer = async (name: string) => {
    const log = mlsLog()
    const person = await newPerson(service.url, name, { onFrame: log.onFrame })
    closing.push(() => person.close())
    person.device.on('message', ({ content, own, messageId }) => {
      const text = readText(content)?.plain
      if (own || text === undefined) return
      note(name, text, hex(messageId), content.replaces && hex(content.replaces))
    })
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
        if ([one.name, other.name].every((name) => heard.get(name)?.counts.has(hello))) return true
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
  return { homeserver, service, postgres, disk, lanes, people, users, logs, heard }
}
