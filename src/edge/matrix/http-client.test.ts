import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { readBounded } from './bounded.ts'
import { sendByHttp } from './http-client.ts'

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const send = (method: string, path = '', signal = new AbortController().signal) =>
    sendByHttp(url + path, { method, headers: { 'x-given': 'ü' }, body: 'grüß dich', signal })
  const end = () => {
    server.closeAllConnections()
    server.close()
  }
  return { send, [Symbol.dispose]: end }
}

describe('a request by HTTP', () => {
  it('is sent whole, and answered with status, headers and body', async () => {
    using server = await serve(async (request, response) => {
      response.writeHead(418, { 'retry-after': '3' })
      response.end(`${request.method} ${request.url} ${await readBounded({ body: request }, 1000)}`)
    })
    const { ok, status, headers, body } = await server.send('PUT', 'there?a=b')
    assert.deepEqual([ok, status, headers.get('retry-after'), headers.get('x-none')], [false, 418, '3', null])
    assert.equal(await readBounded({ body }, 1000), 'PUT /there?a=b grüß dich')
  })

  it('uses a connection again, and another one when that has just been closed; only where it may be sent twice', async () => {
    const sockets = new Set<unknown>()
    let closing = false
    using server = await serve((request, response) => {
      if (closing && sockets.has(request.socket)) return void request.socket.destroy()
      sockets.add(request.socket)
      request.resume().on('end', () => response.end('{}'))
    })
    const once = async (method: string) => readBounded(await server.send(method), 10)
    for (let time = 0; time < 3; time++) assert.equal(await once('PUT'), '{}')
    assert.equal(sockets.size, 1)
    closing = true
    assert.equal(await once('PUT'), '{}')
    assert.equal(sockets.size, 2)
    await assert.rejects(once('POST'))
  })

  it('follows no redirect, and ends when it is told to', async () => {
    using server = await serve((request, response) => {
      if (request.url === '/') response.writeHead(302, { location: '/elsewhere' }).end()
    })
    await assert.rejects(server.send('GET'), /redirect/)
    await assert.rejects(server.send('GET', 'never', AbortSignal.timeout(20)))
  })
})
