import assert from 'node:assert/strict'
import { connect as connectTcp } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import { WebSocket } from 'ws'
import type { FramePipe } from './protocol/index.ts'
import { ListenError, openWebServer, type WebServerOptions } from './web-server.ts'

const app = new Hono()
app.get('/slow', async (c) => {
  await sleep(60)
  return c.text('done')
})

async function listen(change: Partial<WebServerOptions> = {}) {
  const pipes: FramePipe[] = []
  const server = await openWebServer({
    ...{ host: '127.0.0.1', port: 0, app, proxy: false },
    ...{ frameBytes: 1000, connections: 10, connectionsPerAddress: 3 },
    connect: (pipe) => void pipes.push(pipe),
    ...change,
  })
  return { server, pipes, url: `${server.url.replace('http', 'ws')}/messenger/v1` }
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
  const { server, pipes, url } = await listen()
  assert.equal((await connect(`${url}/other`)).said, 404)
  assert.equal((await connect(`${url}?x=1`)).said, 'open')
  assert.equal(pipes.length, 1)
  assert.equal(await (await fetch(`${server.url}/slow`)).text(), 'done')
  await server.close()
})

test('a request line that is no path harms nobody', async () => {
  const { server, url } = await listen()
  for (const path of ['//', '*', 'http://', '/\\', '/%', '//[']) {
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
    await new Promise((resolve) => socket.once('close', resolve).resume())
  }
  assert.equal((await connect(url)).said, 'open')
  await server.close()
})

test('no more than allowed, in all and from one address; a place that is left is free again', async () => {
  const { server, url } = await listen()
  const open = await Promise.all([1, 2, 3].map(() => connect(url)))
  assert.equal((await connect(url)).said, 429)
  open[0]!.socket.terminate()
  await sleep(30)
  assert.equal((await connect(url)).said, 'open')
  await server.close()
  const few = await listen({ connections: 1 })
  await connect(few.url)
  assert.equal((await connect(few.url)).said, 503)
  await few.server.close()
})

test('behind a proxy the address is the one that the proxy wrote, and nothing that a client writes before it', async () => {
  const { server, url } = await listen({ proxy: true, connectionsPerAddress: 1 })
  const from = (forwarded: string) => connect(url, { 'x-forwarded-for': forwarded })
  assert.equal((await from('10.0.0.1')).said, 'open')
  assert.equal((await from('10.0.0.2')).said, 'open')
  assert.equal((await from('1.2.3.4, 10.0.0.1')).said, 429)
  await server.close()
  const direct = await listen({ connectionsPerAddress: 1 })
  await connect(direct.url, { 'x-forwarded-for': '10.0.0.1' })
  assert.equal((await connect(direct.url, { 'x-forwarded-for': '10.0.0.2' })).said, 429)
  await direct.server.close()
})

test('addresses of one IPv6 network count as one, of IPv4 each by itself', async () => {
  const { server, url } = await listen({ proxy: true, connections: 20, connectionsPerAddress: 1 })
  const from = async (forwarded: string) => (await connect(url, { 'x-forwarded-for': forwarded })).said
  assert.equal(await from('2001:db8:1:2::1'), 'open')
  assert.equal(await from('2001:db8:1:2:ffff:1:2:3'), 429)
  assert.equal(await from('2001:db8:1:3::1'), 'open')
  assert.equal(await from('2001:db8::1'), 'open')
  assert.equal(await from('2001:db8:0:0:8::'), 429)
  assert.equal(await from('::ffff:10.0.0.1'), 'open')
  assert.equal(await from('::ffff:10.0.0.2'), 'open')
  assert.equal(await from('::1'), 'open')
  // A header that is no address harms nobody.
  for (const odd of ['[::1', ':::::', '%', 'x'.repeat(5000)]) assert.equal(await from(odd), 'open')
  await server.close()
})

test('a request that asks too much is told how long to wait; others are answered', async () => {
  const asked: string[] = []
  const admit = (path: string, address: string) => {
    asked.push(`${path} ${address}`)
    return path === '/slow' ? 0 : 1500
  }
  const { server } = await listen({ proxy: true, admit })
  const headers = { 'x-forwarded-for': '1.2.3.4, 192.0.2.1' }
  const refused = await fetch(`${server.url}/other?secret`, { headers })
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '2'])
  assert.equal((await fetch(`${server.url}/slow`)).status, 200)
  assert.equal(asked[0], '/other 192.0.2.1')
  await server.close()
})

test('a message that is too large closes its socket', async () => {
  const { server, url } = await listen()
  const { socket } = await connect(url)
  const closed = closing(socket)
  socket.send(Buffer.alloc(1001))
  assert.equal(await closed, 1009)
  await server.close()
})

test('while it stops, requests under way are answered, new connections are not taken, and WebSockets close with 1001', async () => {
  const { server, url } = await listen()
  const { socket } = await connect(url)
  const slow = fetch(`${server.url}/slow`)
  await sleep(20)
  server.stopAccepting()
  assert.equal((await connect(url)).said, 'error')
  assert.equal(socket.readyState, socket.OPEN, 'who is connected goes on')
  const closed = closing(socket)
  await server.close()
  assert.equal(await (await slow).text(), 'done')
  assert.equal(await closed, 1001)
})

test('a WebSocket that does not answer the close is cut off at the deadline', async () => {
  const { server, url } = await listen()
  const { socket } = await connect(url)
  socket.pause()
  await server.close(AbortSignal.timeout(30))
  socket.terminate()
})

test('a port that is taken is said in words', async () => {
  const { server } = await listen()
  await assert.rejects(
    listen({ port: server.port }),
    (error: unknown) => error instanceof ListenError && /something else listens there/.test(error.message),
  )
  await server.close()
})
