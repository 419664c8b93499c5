/**
 * A homeserver in memory that the edge takes for one: keys, to-device messages, rooms, and appservice transactions as
 * Synapse sends them. Its users have real Olm machines. Made for many messages in a short time and for faults; what it
 * does not check (signatures, power levels, federation) is what the tests with a real Synapse are for.
 */

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { defaultRegistration, type RegistrationSettings } from '../../../src/edge/matrix/registration.ts'
import { freePort } from '../ports.ts'
import { stubKeys } from './keys.ts'
import { type StubPusher, stubPusher } from './pusher.ts'
import { Refusal } from './refusal.ts'
import { type Json, stubRooms } from './rooms.ts'
import { stubRoutes } from './routes.ts'
import { type StubUser, stubUser } from './user.ts'

export type { StubEvent } from './rooms.ts'
export type { Seen, StubUser } from './user.ts'

export interface StubHomeserver extends AsyncDisposable {
  readonly url: string
  readonly domain: string
  readonly registration: RegistrationSettings
  /** Where it expects the appservice, on 127.0.0.1. */
  readonly appservicePort: number
  /** A user of its own, made when there is none of this name. */
  user(name: string): Promise<StubUser>
  readonly rooms: ReturnType<typeof stubRooms>
  readonly keys: ReturnType<typeof stubKeys>
  /** Goes away as by kill -9: connections break, nobody answers, and what it had queued for the appservice is forgotten. */
  interrupt(): Promise<void>
  /** What it is about to push. */
  readonly pusher: Pick<StubPusher, 'hold' | 'release' | 'retryStored'>
  resume(): Promise<void>
  /** The next so many answers are lost on their way, after what was asked for was done. */
  loseAnswers(count: number): void
  /** To-device messages that wait for our ghosts' devices. */
  ghostInbox(): number
}

export interface StubOptions {
  /** Whether users keep what they read; true unless said otherwise. */
  readonly keep?: boolean
  /** How many events a room keeps. */
  readonly keepEvents?: number
  readonly appservicePort?: number
  /** Its clock, ms. */
  readonly clock?: () => number
}

export async function stubHomeserver(options: StubOptions = {}): Promise<StubHomeserver> {
  const appservicePort = options.appservicePort ?? (await freePort())
  const token = () => randomBytes(24).toString('base64url')
  const domain = 'stub.test'
  const registration: RegistrationSettings = {
    ...defaultRegistration,
    url: `http://127.0.0.1:${appservicePort}`,
    domain,
    asToken: token(),
    hsToken: token(),
  }
  const users = new Map<string, StubUser>()
  const names = new Set<string>()
  const prefix = `@${registration.userPrefix}`
  const isOurs = (user: string) => user.startsWith(prefix) || user === `@${registration.botLocalpart}:${domain}`
  const pusher = stubPusher({
    url: registration.url,
    token: registration.hsToken,
    countsOf(messages) {
      const counts: Record<string, Json> = {}
      for (const { to_user_id: user, to_device_id: device } of messages)
        counts[user] = { ...counts[user], [device]: keys.countOf(user, device) }
      return counts
    },
  })
  const keys = stubKeys({
    onToDevice(message) {
      if (isOurs(message.to_user_id)) pusher.toDevice(message)
      else users.get(message.to_user_id)?.take.toDevice()
    },
    onChanged(user) {
      for (const each of users.values()) each.take.listsChanged(user)
      if (!isOurs(user) && users.has(user)) pusher.listsChanged(user)
    },
  })
  const rooms = stubRooms({
    domain,
    keep: options.keepEvents,
    clock: options.clock,
    onEvent(event, room) {
      let toAppservice = false
      for (const [member, value] of room.members) {
        const here = value === 'join' || (event.state_key === member && event.type === 'm.room.member')
        if (!here) continue
        if (isOurs(member)) toAppservice = true
        else users.get(member)?.take.event(event)
      }
      if (toAppservice) pusher.event(event)
    },
  })
  const answer = stubRoutes({ rooms, keys, users: names, names: new Map(), domain, onPing: () => pusher.wake() })

  const sockets = new Set<Socket>()
  let toLose = 0
  const respond = (response: ServerResponse, status: number, body: unknown) => {
    if (toLose > 0) {
      toLose--
      return void response.destroy()
    }
    const text = JSON.stringify(body)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    response.end(text)
  }
  const onRequest = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = new URL(request.url ?? '/', 'http://stub')
    if (url.pathname.endsWith('/versions')) return respond(response, 200, { versions: ['v1.11'] })
    if (request.headers.authorization !== `Bearer ${registration.asToken}`)
      return respond(response, 401, { errcode: 'M_UNKNOWN_TOKEN', error: 'token' })
    const text = Buffer.concat(chunks).toString('utf8')
    // Nobody who waits for news here has any that would not wait that long: it is how the homeserver is watched.
    const heldBack = url.pathname.endsWith('/sync') ? Number(url.searchParams.get('timeout') ?? 0) : 0
    if (heldBack > 0) {
      const closed = new Promise((resolve) => response.on('close', resolve))
      await Promise.race([sleep(heldBack, undefined, { ref: false }), closed])
      if (response.destroyed) return
    }
    try {
      const result = answer({
        method: request.method ?? 'GET',
        path: url.pathname,
        parts: url.pathname.split('/').slice(4).map(decodeURIComponent),
        query: url.searchParams,
        user: url.searchParams.get('user_id') ?? `@${registration.id}-sender:${domain}`,
        device: url.searchParams.get('device_id') ?? '',
        body: text === '' ? {} : (JSON.parse(text) as Json),
      })
      respond(response, 200, result)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      respond(response, error.status, { errcode: error.errcode, error: error.errcode })
    }
  }
  let server: Server
  let port = 0
  const listen = async () => {
    server = createServer((request, response) => void onRequest(request, response).catch(() => response.destroy()))
    server.keepAliveTimeout = 60_000
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
    port = (server.address() as AddressInfo).port
  }
  const interrupt = async () => {
    pusher.leave(true)
    const closed = new Promise((done) => server.close(done))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  await listen()
  return {
    url: `http://127.0.0.1:${port}`,
    domain,
    registration,
    appservicePort,
    rooms,
    keys,
    pusher,
    async user(name) {
      const id = `@${name}:${domain}`
      const known = users.get(id)
      if (known) return known
      names.add(id)
      const made = await stubUser({ user: id, rooms, keys, keep: options.keep ?? true })
      users.set(id, made)
      return made
    },
    interrupt,
    async resume() {
      await listen()
      pusher.comeBack()
    },
    loseAnswers(count) {
      toLose = count
    },
    ghostInbox() {
      let waiting = 0
      for (const user of names)
        if (isOurs(user)) for (const device of keys.devicesOf(user)) waiting += keys.waiting(user, device)
      return waiting
    },
    async [Symbol.asyncDispose]() {
      pusher.stop()
      await interrupt()
    },
  }
}
