// Those who only want to be in the way: connections that never say who they are, halves of requests, floods, sizes.
import assert from 'node:assert/strict'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { WebSocket } from 'ws'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { ClientFrameSchema, ErrorCode, type ServerFrame, ServerFrameSchema } from '../src/protocol/index.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { startTestService, type TestService } from './support/service.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'
import { until } from './support/until.ts'

const patienceMs = 120_000

describe('a service that is flooded', () => {
  let stub: StubHomeserver
  let service: TestService
  let alice: StubUser
  let carol: MessengerPerson
  let room: RoomId
  let matrixRoom: string
  let said = 0
  const sockets: WebSocket[] = []

  before(async () => {
    stub = await stubHomeserver()
    service = await startTestService({
      synapse: stub,
      environment: { SILTA_LIMITS_CONNECTIONS_PER_ADDRESS: '5000' },
    })
    alice = await stub.user('alice')
    carol = await newPerson(service.url, 'carol')
    room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    await carol.device.send(room, textMessage({ plain: 'hello' }))
    await until('the room', () => alice.seen.some(({ content }) => content.body === 'hello'), patienceMs)
    matrixRoom = alice.seen.find(({ content }) => content.body === 'hello')!.room
  })
  after(async () => {
    for (const socket of sockets) socket.terminate()
    await carol?.close()
    await service?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  /** A message each way, for others are not to be harmed. @returns milliseconds for both */
  const conversationGoesOn = async (): Promise<number> => {
    const text = `unharmed ${++said}`
    const begun = performance.now()
    await Promise.all([carol.device.send(room, textMessage({ plain: text })), alice.send(matrixRoom, text)])
    await until('the message at Alice', () => alice.seen.some(({ content }) => content.body === text), patienceMs)
    await until('the message at Carol', () => carol.heard.texts.includes(text), patienceMs)
    return performance.now() - begun
  }
  const address = () => `${service.url.replace('http', 'ws')}/messenger/v1`
  const stranger = async () => {
    const socket = new WebSocket(address())
    sockets.push(socket)
    const frames: ServerFrame[] = []
    const closed = new Promise<number>((resolve) => socket.once('close', resolve))
    socket.on('message', (bytes: Buffer) => frames.push(fromBinary(ServerFrameSchema, new Uint8Array(bytes))))
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('open', resolve))
    return { socket, frames, closed }
  }
  const errorsIn = (frames: readonly ServerFrame[]) =>
    frames.flatMap(({ body }) => (body.case === 'error' ? [ErrorCode[body.value.code]] : []))

  it('carries messages beside a thousand connections that never authenticate, and closes those', async (t) => {
    const alone = await conversationGoesOn()
    const strangers = await Promise.all(Array.from({ length: 1000 }, stranger))
    let slowest = 0
    for (let time = 0; time < 5; time++) slowest = Math.max(slowest, await conversationGoesOn())
    t.diagnostic(`a message each way: ${alone.toFixed(0)} ms alone, at most ${slowest.toFixed(0)} ms beside them`)
    assert.deepEqual(new Set(await Promise.all(strangers.map(({ closed }) => closed))), new Set([1008]))
    await conversationGoesOn()
  })

  it('refuses what is too large, and what is no frame, and closes', async () => {
    const large = await stranger()
    large.socket.send(Buffer.alloc(300_000))
    assert.equal(await large.closed, 1009)
    assert.deepEqual(errorsIn(large.frames), ['TOO_LARGE'])
    const nonsense = await stranger()
    nonsense.socket.send(Buffer.from([0xff, 0xff, 0xff]))
    assert.equal(await nonsense.closed, 1007)
    assert.deepEqual(errorsIn(nonsense.frames), ['MALFORMED'])
    await conversationGoesOn()
  })

  it('answers a flood of requests with a typed refusal', async () => {
    const { socket, frames } = await stranger()
    const asked = 5000
    for (let id = 1; id <= asked; id++) {
      const request = { case: 'getManifest', value: { account: 'mimi://messenger.example/u/x' } } as const
      socket.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: BigInt(id), request })))
    }
    await conversationGoesOn()
    await until('all answers', () => frames.filter(({ id }) => id > 0n).length === asked, patienceMs)
    const codes = new Set(errorsIn(frames))
    assert.ok(codes.has('RATE_LIMITED'))
    for (const code of codes)
      assert.ok(['RATE_LIMITED', 'UNAUTHENTICATED', 'NOT_FOUND', 'MALFORMED'].includes(code!), code)
  })

  it('is not held by halves of requests', async () => {
    const halves: Socket[] = []
    const url = new URL(service.url)
    for (let number = 0; number < 300; number++) {
      const socket = connectTcp(Number(url.port), url.hostname)
      socket.on('error', () => {})
      socket.write('PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n')
      if (number % 2 === 0) socket.write('\r\n{"events"')
      halves.push(socket)
    }
    // Half a WebSocket frame: it says 1000 bytes and sends ten.
    const { socket } = await stranger()
    ;(socket as unknown as { _socket: Socket })._socket.write(Buffer.from([0x82, 0xfe, 0x03, 0xe8, 1, 2, 3, 4, 5, 6]))
    await sleep(200)
    await conversationGoesOn()
    for (const half of halves) half.destroy()
  })

  it('is not filled by messages that strangers announce and never finish', async (t) => {
    const megabytes = async () => {
      const metrics = await (await fetch(`${service.url}/metrics`)).text()
      return Number(/^silta_process_process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1]) / 2 ** 20
    }
    const before = await megabytes()
    // Eight MiB, masked with zeros, but for the last byte.
    const bytes = 8 * 2 ** 20
    const head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, bytes >>> 16, 0, 0, 0, 0, 0, 0])
    const body = Buffer.alloc(bytes - 1)
    const strangers = await Promise.all(Array.from({ length: 200 }, stranger))
    for (const { socket } of strangers) {
      const below = (socket as unknown as { _socket: Socket })._socket
      below.write(head)
      below.write(body)
    }
    let most = before
    const watched = (async () => {
      for (let time = 0; time < 20; time++) {
        await sleep(200)
        most = Math.max(most, await megabytes())
      }
    })()
    await conversationGoesOn()
    const codes = await Promise.all(strangers.map(({ closed }) => closed))
    await watched
    t.diagnostic(`${before.toFixed(0)} MiB before, at most ${most.toFixed(0)} MiB meanwhile`)
    assert.deepEqual(new Set(codes), new Set([1009]))
    assert.deepEqual(new Set(strangers.flatMap(({ frames }) => errorsIn(frames))), new Set(['TOO_LARGE']))
    assert.ok(most - before < 400, `${(most - before).toFixed(0)} MiB more`)
  })

  it("refuses transactions without the homeserver's token, and those that are too large", async () => {
    const put = (token: string, body: string) =>
      fetch(`${service.url}/_matrix/app/v1/transactions/flood`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body,
      })
    const answers = await Promise.all(Array.from({ length: 200 }, () => put('wrong', '{"events":[]}')))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([403]))
    const { status } = await put(stub.registration.hsToken, `{"events":["${'x'.repeat(33 * 1024 * 1024)}"]}`)
    assert.equal(status, 413)
    await conversationGoesOn()
  })
})
