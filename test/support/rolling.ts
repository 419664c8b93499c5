import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { textMessage } from '../../src/content/index.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { type MessengerPerson, newPerson, type PersonOptions } from './messenger-person.ts'
import { freePort } from './ports.ts'
import { type PostgresServer, startPostgres } from './postgres.ts'
import { startTestService, type TestService } from './service.ts'
import { type StubUser, stubHomeserver } from './stub/index.ts'
import { until } from './until.ts'

/** Longest wait for a message over a restart, ms. */
export const patienceMs = 120_000

/**
 * Versions of the service on one PostgreSQL and one data directory, behind a proxy that devices and homeserver know, and a
 * messenger user and a Matrix user who talk meanwhile.
 */
export interface Rolling extends AsyncDisposable {
  /** Of the proxy. */
  readonly url: string
  readonly postgres: PostgresServer
  /** The version that it began with. */
  readonly present: TestService
  readonly room: RoomId
  /** The messenger user; the same device may be opened anew and put here. */
  carol: MessengerPerson
  /** Starts a version beside those that run. @param program its service-process.ts; today's unless said otherwise */
  start(program?: string): Promise<TestService>
  /** New connections go there from now on. */
  sendTo(service: TestService): void
  /** Both write until it has ended. */
  whileTalking(work: () => Promise<unknown>): Promise<void>
  /** Resolves when what each has said after this call has begun to arrive. */
  heardAgain(): Promise<void>
  /** Resolves when all has arrived, once and in order, and fails where it has not. @returns how many messages that were */
  settled(): Promise<number>
}

export interface RollingOptions extends PersonOptions {
  /** The version to begin with. */
  readonly program?: string | undefined
  /** How the messenger user registers, with the SDK of that version. */
  readonly register?: typeof newPerson
}

export async function openRolling(options: RollingOptions = {}): Promise<Rolling> {
  const { program: first, register = newPerson, ...personOptions } = options
  const closing = new AsyncDisposableStack()
  const postgres = await startPostgres()
  closing.defer(() => postgres.stop())
  const stub = closing.use(await stubHomeserver())
  const proxy = proxyTo()
  closing.defer(() => proxy.close())
  let present: TestService | undefined
  const start = async (program?: string): Promise<TestService> => {
    const own = { SILTA_LISTEN_PORT: String(await freePort()), SILTA_DATABASE_URL: postgres.url }
    const service = await startTestService({
      synapse: stub,
      environment: { ...own, ...(present && { SILTA_DATA_DIRECTORY: present.dataDirectory }) },
      ...(program !== undefined && { program }),
    })
    return closing.use(service)
  }
  present = await start(first)
  const sendTo = ({ url }: TestService) => proxy.sendTo(Number(new URL(url).port))
  sendTo(present)
  await proxy.listen(stub.appservicePort)
  const url = `http://127.0.0.1:${stub.appservicePort}`

  const alice = await stub.user('alice')
  const carol = await register(url, 'carol', personOptions)
  const room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
  const said = { carol: ['hello'], alice: [] as string[] }
  const heardByCarol: string[] = []
  await carol.device.send(room, textMessage({ plain: 'hello' }))
  await until('the room', () => textsAt(alice).length > 0, patienceMs)
  const matrixRoom = alice.seen.find(({ content }) => content.body === 'hello')!.room
  let person = carol
  closing.defer(() => person.close())
  const atCarol = () => [...heardByCarol, ...person.heard.texts]

  const say = {
    carol: (text: string) => person.device.send(room, textMessage({ plain: text })),
    alice: (text: string) => alice.send(matrixRoom, text),
  }
  return {
    url,
    postgres,
    present,
    room,
    start,
    sendTo,
    get carol() {
      return person
    },
    set carol(other) {
      heardByCarol.push(...person.heard.texts)
      person = other
    },
    async whileTalking(work) {
      let over = false
      const talking = (['carol', 'alice'] as const).map(async (who) => {
        while (!over) {
          const text = `${who} ${said[who].length}`
          said[who].push(text)
          await say[who](text)
          await sleep(200)
        }
      })
      try {
        await work()
      } finally {
        over = true
        await Promise.all(talking)
      }
    },
    async heardAgain() {
      const [toCarol, toAlice] = [said.alice.length, said.carol.length]
      await until('a message of Alice', () => atCarol().length > toCarol, patienceMs)
      await until('one of Carol', () => textsAt(alice).length > toAlice, patienceMs)
    },
    async settled() {
      await until('all at Alice', () => textsAt(alice).length >= said.carol.length, patienceMs)
      await until('all at Carol', () => atCarol().length >= said.alice.length, patienceMs)
      assert.deepEqual(textsAt(alice), said.carol)
      assert.deepEqual(atCarol(), said.alice)
      return said.carol.length + said.alice.length
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

const textsAt = ({ seen }: StubUser) =>
  seen.flatMap(({ content }) => (content.msgtype === 'm.text' ? [String(content.body)] : []))

/** Passes each new connection on to the port that was named last. */
function proxyTo() {
  const sockets = new Set<Socket>()
  let backend = 0
  const server = createServer((client) => {
    const upstream = connect(backend, '127.0.0.1')
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  return {
    sendTo(port: number) {
      backend = port
    },
    listen: (port: number) => new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening)),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
