import { setTimeout as sleep } from 'node:timers/promises'
import { readText, textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type MessengerPerson, newPerson } from '../test/support/messenger-person.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from '../test/support/stub/index.ts'
import { cpuOfPostgresMs } from './processes.ts'
import { type MeasuredService, startMeasured } from './service.ts'

export type DatabaseKind = 'pglite' | 'postgres'
export type Way = 'to-matrix' | 'to-messenger'

/** Conversations between messenger accounts and one Matrix user, all encrypted on both sides. */
export interface World extends AsyncDisposable {
  readonly kind: DatabaseKind
  readonly service: MeasuredService
  readonly stub: StubHomeserver
  /**
   * Sends this many messages over the first rooms as fast as they are taken, and waits until the last one is decrypted on
   * the other side. @returns seconds
   */
  flood(way: Way, rooms: number, messages: number): Promise<number>
  /** Sends at this rate in the first room, whatever comes of it. @returns milliseconds of each, from send to decrypted */
  paced(way: Way, messages: number, perSecond: number): Promise<number[]>
  /** CPU of the database's processes so far, ms; 0 when it runs inside the service. */
  databaseCpuMs(): number
}

interface Room {
  readonly person: MessengerPerson
  readonly room: RoomId
  readonly matrixRoom: string
}

/** Longest wait without any message arriving, ms. */
const stallMs = 60_000

export async function openWorld(kind: DatabaseKind, count: number, progress: (line: string) => void): Promise<World> {
  const closing: (() => Promise<unknown>)[] = []
  // Durable, as it is run: the rig's own defaults are for tests.
  const postgres = kind === 'postgres' ? await startPostgres(['fsync=on', 'full_page_writes=on']) : undefined
  if (postgres) closing.push(() => postgres.stop())
  const stub = await stubHomeserver({ keep: false, keepEvents: 1000 })
  closing.push(async () => stub[Symbol.asyncDispose]())
  const service = await startMeasured(stub, postgres?.url)
  closing.push(async () => service[Symbol.asyncDispose]())
  const matrix = await stub.user('bench')
  const rooms: Room[] = []
  /** What waits for a text, on either side. */
  const waiting = new Map<string, () => void>()
  const arrived = (text: unknown) => {
    const tell = typeof text === 'string' ? waiting.get(text) : undefined
    if (!tell) return
    waiting.delete(text as string)
    tell()
  }
  const openRoom = async (number: number): Promise<Room> => {
    const person = await newPerson(service.url, `person-${number}`)
    closing.push(() => person.close())
    person.device.on('message', ({ content, own }) => void (own || arrived(readText(content)?.plain)))
    const room = await person.device.conversationWith({ network: 'matrix', value: matrix.user })
    const hello = `hello from ${number}`
    const seen = new Promise<string>((resolve) => {
      matrix.onSeen = (one) => {
        if (one.content.body === hello) resolve(one.room)
      }
    })
    await person.device.send(room, textMessage({ plain: hello }))
    const matrixRoom = await seen
    const back = new Promise<void>((resolve) => waiting.set(`hello to ${number}`, resolve))
    await matrix.send(matrixRoom, `hello to ${number}`)
    await back
    return { person, room, matrixRoom }
  }
  progress(`${kind}: service ready in ${Math.round(service.readyMs)} ms; ${count} conversations are made`)
  for (let number = 0; number < count; number++) rooms.push(await openRoom(number))
  matrix.onSeen = ({ content }) => arrived(content.body)

  let runs = 0
  const sayIn = (way: Way, { person, room, matrixRoom }: Room, text: string): Promise<unknown> =>
    way === 'to-matrix' ? person.device.send(room, textMessage({ plain: text })) : matrix.send(matrixRoom, text)
  return {
    kind,
    service,
    stub,
    async flood(way, over, messages) {
      const used = rooms.slice(0, over)
      const run = ++runs
      let left = messages
      let last = performance.now()
      const done = Promise.withResolvers<void>()
      for (let number = 0; number < messages; number++)
        waiting.set(`flood ${run} ${number}`, () => {
          last = performance.now()
          if (--left === 0) done.resolve()
        })
      const begun = performance.now()
      const send = async (from: number) => {
        for (let number = from; number < messages; number += over)
          await sayIn(way, used[from]!, `flood ${run} ${number}`)
      }
      const watch = setInterval(() => {
        if (performance.now() - last > stallMs) done.reject(new Error(`${left} of ${messages} messages did not arrive`))
      }, 1000)
      await Promise.all([done.promise, ...used.map((_, index) => send(index))]).finally(() => clearInterval(watch))
      await settle(matrix)
      return (last - begun) / 1000
    },
    async paced(way, messages, perSecond) {
      const run = ++runs
      const times: number[] = []
      const all: Promise<void>[] = []
      const begun = performance.now()
      for (let number = 0; number < messages; number++) {
        await sleep(Math.max(0, begun + (number * 1000) / perSecond - performance.now()))
        const text = `paced ${run} ${number}`
        const sentAt = performance.now()
        all.push(
          new Promise((resolve) =>
            waiting.set(text, () => {
              times.push(performance.now() - sentAt)
              resolve()
            }),
          ),
        )
        await sayIn(way, rooms[0]!, text)
      }
      await Promise.all(all)
      return times
    },
    databaseCpuMs: () => (postgres ? cpuOfPostgresMs(postgres.folder) : 0),
    async [Symbol.asyncDispose]() {
      for (const close of closing.reverse()) await close()
    },
  }
}

/** Reports and receipts that follow the last message are not the next measurement's. */
async function settle(matrix: StubUser): Promise<void> {
  await matrix.idle()
  await sleep(300)
}
