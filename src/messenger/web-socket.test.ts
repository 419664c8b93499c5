import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { openWorld } from '../hub/testing/world.ts'
import type { FramePipe } from '../protocol/index.ts'
import { freshDatabase } from '../store/testing.ts'
import { openClient, openTestGateway } from './testing/client.ts'
import { webSocketPath, webSocketPipe } from './web-socket.ts'

async function serve() {
  const database = await freshDatabase()
  const world = openWorld(database)
  const { gateway } = openTestGateway(world)
  const http = createServer()
  const server = new WebSocketServer({
    server: http,
    path: webSocketPath,
    maxPayload: 1_000_000,
    perMessageDeflate: false,
  })
  server.on('connection', (socket) => gateway.connect(webSocketPipe(socket)))
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
