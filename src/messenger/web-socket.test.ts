import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { openWorld } from '../hub/testing/world.ts'
import { ErrorCode, type FramePipe } from '../protocol/index.ts'
import { freshDatabase } from '../store/testing.ts'
import type { GatewaySettings } from './index.ts'
import { openClient, openTestGateway } from './testing/client.ts'
import { webSocketPath, webSocketPipe } from './web-socket.ts'

async function serve(settings: Partial<GatewaySettings> = {}) {
  const database = await freshDatabase()
  const world = openWorld(database)
  const { gateway } = openTestGateway(world, settings)
  const http = createServer()
  const server = new WebSocketServer({
    server: http,
    path: webSocketPath,
    maxPayload: 1_000_000,
    perMessageDeflate: false,
  })
  server.on('connection', (socket, request) => gateway.connect(webSocketPipe(socket, request.socket)))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}${webSocketPath}`
  return {
    world,
    gateway,
    url,
    async [Symbol.asyncDispose]() {
      gateway.drain()
      for (const socket of server.clients) socket.terminate()
      http.closeAllConnections()
      http.close()
      await world[Symbol.asyncDispose]()
      await database.close()
    },
  }
}

/** The client's side, over the same package. */
function clientPipe(socket: WebSocket): FramePipe {
  return {
    send: (frame) => socket.send(frame),
    onFrame: (listener) => void socket.on('message', (data) => listener(new Uint8Array(data as Buffer))),
    onClose: (listener) => void socket.on('close', (code, reason) => listener(code, reason.toString())),
    close: (code, reason) => socket.close(code, reason),
    buffered: 0,
  }
}

test('frames travel over a WebSocket, and its end is said with 1001', async () => {
  await using service = await serve()
  const device = await service.world.device()
  const client = await openClient(clientPipe(new WebSocket(service.url)))
  const channel = await client.resume(device)
  await client.event('caughtUp', channel)
  service.gateway.drain()
  await client.event('goingAway')
  assert.equal((await client.whenClosed()).code, 1001)
})

test('a text, or a message beyond the limit, ends the connection and nothing else', async () => {
  await using service = await serve()
  const text = new WebSocket(service.url)
  const one = await openClient(clientPipe(text))
  text.send('hello')
  assert.equal((await one.whenClosed()).code, 1007)
  const two = await openClient(clientPipe(new WebSocket(service.url)))
  two.pipe.send(new Uint8Array(1_000_001))
  assert.equal((await two.whenClosed()).code, 1009)
  const three = await openClient(clientPipe(new WebSocket(service.url)))
  await three.expect('pong', { case: 'ping', value: {} })
})

test('a connection that breaks leaves nothing behind', async () => {
  await using service = await serve()
  const socket = new WebSocket(service.url)
  const client = await openClient(clientPipe(socket))
  await client.resume(await service.world.device())
  assert.equal(service.gateway.connections, 1)
  socket.terminate()
  for (let i = 0; i < 100 && service.gateway.connections > 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(service.gateway.connections, 0)
})

/** The beginning of a message of that many bytes, masked with zeros; `final`: in one piece. */
function head(bytes: number, final = true, code = 2): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(bytes))
  return Buffer.concat([Uint8Array.of((final ? 0x80 : 0) | code, 0x80 | 127), length, Buffer.alloc(4)])
}
const emptyPing = Uint8Array.of(0x89, 0x80, 0, 0, 0, 0)
const below = (socket: WebSocket) => (socket as unknown as { _socket: Socket })._socket

test('a message that is not whole and beyond the first limit is refused before anybody has authenticated', async () => {
  await using service = await serve({ firstFrameBytes: 100_000 })
  const pieces = {
    'in one': () => [head(900_000), Buffer.alloc(899_999)],
    'in many, with pings between': () => [
      ...[head(40_000, false), Buffer.alloc(40_000)],
      ...Array.from({ length: 20 }, () => [emptyPing, head(40_000, false, 0), Buffer.alloc(40_000)]).flat(),
    ],
  }
  const refused = async ([how, bytes]: [string, () => Uint8Array[]]) => {
    const socket = new WebSocket(service.url)
    const client = await openClient(clientPipe(socket))
    for (const each of bytes()) below(socket).write(each)
    assert.equal((await client.event('error')).code, ErrorCode.TOO_LARGE, how)
    assert.equal((await client.whenClosed()).code, 1009, how)
  }
  await Promise.all(Object.entries(pieces).map(refused))
})

test('many small frames, one after the other and in small pieces, are no large one', async () => {
  await using service = await serve({ firstFrameBytes: 2_000, openRequestBurst: 10_000 })
  const socket = new WebSocket(service.url)
  const client = await openClient(clientPipe(socket))
  for (let time = 0; time < 200; time++) {
    below(socket).write(emptyPing)
    void client.ask({ case: 'lookUp', value: { kind: 1, value: 'x'.repeat(1_900) } })
  }
  for (let time = 0; time < 200; time++) {
    below(socket).write(emptyPing)
    socket.pong()
    if (time % 20 === 0) await client.expect('pong', { case: 'ping', value: {} })
  }
  assert.equal(client.closed, undefined)
})

test('once a device has authenticated, frames may be large', async () => {
  await using service = await serve({ firstFrameBytes: 2_000 })
  const socket = new WebSocket(service.url)
  const client = await openClient(clientPipe(socket))
  const channel = await client.authenticate(await service.world.device())
  const large = { case: 'submitMessage', value: { room: 'x', message: new Uint8Array(800_000) } } as const
  assert.equal(await client.refused(large, channel), 'MALFORMED')
  assert.equal(client.closed, undefined)
})
