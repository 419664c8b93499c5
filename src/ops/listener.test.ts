import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import { type WebSocket as Socket, WebSocket } from 'ws'
import { ListenError, type ListenerOptions, openListener } from './index.ts'

const app = new Hono()
app.get('/slow', async (c) => {
  await sleep(60)
  return c.text('done')
})

async function listen(change: Partial<ListenerOptions> = {}, limits: Partial<ListenerOptions['webSocket']> = {}) {
  const accepted: Socket[] = []
  const listener = await openListener({
    host: '127.0.0.1',
    port: 0,
    app,
    proxy: false,
    webSocket: {
      path: '/ws',
      maxBytes: 1000,
      most: 10,
      mostPerAddress: 3,
      accept: (socket) => accepted.push(socket),
      ...limits,
    },
    ...change,
  })
  return { listener, accepted, url: `ws://127.0.0.1:${listener.port}` }
}

/** The status that refused, or `open`, or `error`. */
function connect(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ said: string | number; socket: WebSocket }> {
  const socket = new WebSocket(url, { headers })
  return new Promise((resolve) => {
    socket.on('open', () => resolve({ said: 'open', socket }))
    socket.on('unexpected-response', (_, response) => resolve({ said: response.statusCode ?? 0, socket }))
    socket.on('error', () => resolve({ said: 'error', socket }))
  })
}
const closing = (socket: WebSocket) => new Promise<number>((resolve) => socket.once('close', resolve))

test('WebSockets are taken at their path only, beside the routes', async () => {
  const { listener, accepted, url } = await listen()
  assert.equal((await connect(`${url}/other`)).said, 404)
  assert.equal((await connect(`${url}/ws?x=1`)).said, 'open')
  assert.equal(accepted.length, 1)
  assert.equal(await (await fetch(`http://127.0.0.1:${listener.port}/slow`)).text(), 'done')
  await listener.close()
})

test('no more than allowed, in all and from one address; a place that is left is free again', async () => {
  const { listener, url } = await listen()
  const open = await Promise.all([1, 2, 3].map(() => connect(`${url}/ws`)))
  assert.equal((await connect(`${url}/ws`)).said, 429)
  open[0]!.socket.terminate()
  await sleep(30)
  assert.equal((await connect(`${url}/ws`)).said, 'open')
  await listener.close()
  const few = await listen({}, { most: 1 })
  await connect(`${few.url}/ws`)
  assert.equal((await connect(`${few.url}/ws`)).said, 503)
  await few.listener.close()
})

test('behind a proxy the address is the one that the proxy wrote, and nothing that a client writes before it', async () => {
  const { listener, url } = await listen({ proxy: true }, { mostPerAddress: 1 })
  const from = (forwarded: string) => connect(`${url}/ws`, { 'x-forwarded-for': forwarded })
  assert.equal((await from('10.0.0.1')).said, 'open')
  assert.equal((await from('10.0.0.2')).said, 'open')
  assert.equal((await from('1.2.3.4, 10.0.0.1')).said, 429)
  await listener.close()
  const direct = await listen({}, { mostPerAddress: 1 })
  await connect(`${direct.url}/ws`, { 'x-forwarded-for': '10.0.0.1' })
  assert.equal((await connect(`${direct.url}/ws`, { 'x-forwarded-for': '10.0.0.2' })).said, 429)
  await direct.listener.close()
})

test('a message that is too large closes its socket', async () => {
  const { listener, accepted, url } = await listen()
  const { socket } = await connect(`${url}/ws`)
  accepted[0]!.on('error', () => undefined)
  const closed = closing(socket)
  socket.send(Buffer.alloc(1001))
  assert.equal(await closed, 1009)
  await listener.close()
})

test('while it stops, requests under way are answered and new ones are not taken', async () => {
  const { listener, accepted, url } = await listen()
  const { socket } = await connect(`${url}/ws`)
  const slow = fetch(`http://127.0.0.1:${listener.port}/slow`)
  await sleep(20)
  listener.stopAccepting()
  assert.equal((await connect(`${url}/ws`)).said, 'error')
  assert.equal(await (await slow).text(), 'done')
  const closed = closing(socket)
  accepted[0]!.close(1001)
  await listener.webSocketsClosed(AbortSignal.timeout(5_000))
  assert.equal(await closed, 1001)
  await listener.close()
})

test('a WebSocket that does not answer the close is cut off at the deadline', async () => {
  const { listener, url } = await listen()
  const { socket } = await connect(`${url}/ws`)
  socket.pause()
  await listener.webSocketsClosed(AbortSignal.timeout(30))
  await listener.close()
  socket.terminate()
})

test('a port that is taken is said in words', async () => {
  const { listener } = await listen()
  await assert.rejects(
    listen({ port: listener.port }),
    (error: unknown) => error instanceof ListenError && /something else listens there/.test(error.message),
  )
  await listener.close()
})
