import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { WebSocketServer } from 'ws'
import { webSocketPath, webSocketPipe } from './messenger/index.ts'
import type { FramePipe } from './protocol/index.ts'

export interface WebServerOptions {
  readonly app: Hono
  readonly host: string
  readonly port: number
  /** Takes a messenger's connection. */
  readonly connect: (pipe: FramePipe) => void
  /** Largest WebSocket message, bytes. */
  readonly frameBytes: number
  /** WebSockets at once, in all and from one address. */
  readonly connections: number
  readonly connectionsPerAddress: number
  /** Whether X-Forwarded-For was set by a proxy of ours. */
  readonly proxy: boolean
}

export interface WebServer {
  readonly url: string
  readonly port: number
  /** WebSockets open now. */
  readonly connections: number
  /** Takes no new connection and ends those that have nothing under way. */
  close(): Promise<void>
}

/** Half-open connections: time for the headers and for a whole request, ms. A homeserver's transaction is sent in one go. */
const headersTimeoutMs = 10_000
const requestTimeoutMs = 60_000
/** How long a connection without a request is kept: longer than a homeserver's pool keeps it, so that it closes first. */
const keepAliveMs = 75_000

/** HTTP and, at one path, the messenger's WebSocket. */
export async function openWebServer(options: WebServerOptions): Promise<WebServer> {
  const { app, host, port } = options
  const server = createServer({ headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs })
  server.keepAliveTimeout = keepAliveMs
  server.on('request', getRequestListener(app.fetch))
  const sockets = serveWebSockets(server, options)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address() as AddressInfo
  const shownHost = address.address === '::' || address.address === '0.0.0.0' ? '127.0.0.1' : address.address
  return {
    url: `http://${shownHost.includes(':') ? `[${shownHost}]` : shownHost}:${address.port}`,
    port: address.port,
    get connections() {
      return sockets.clients.size
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      sockets.close()
      server.closeIdleConnections()
      for (const socket of sockets.clients) socket.close(1001, 'going away')
      setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate()
        server.closeAllConnections()
      }, 1_000).unref()
      await closed
    },
  }
}

function serveWebSockets(server: Server, options: WebServerOptions): WebSocketServer {
  const { connect, frameBytes, connections, connectionsPerAddress, proxy } = options
  const sockets = new WebSocketServer({ noServer: true, maxPayload: frameBytes, perMessageDeflate: false })
  const byAddress = new Map<string, number>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until `ws` has taken it over, an error of the socket would end the process.
    socket.on('error', () => socket.destroy())
    if (new URL(request.url ?? '/', 'http://localhost').pathname !== webSocketPath)
      return refuse(socket, '404 Not Found')
    const address = addressOf(request, proxy)
    const open = byAddress.get(address) ?? 0
    if (sockets.clients.size >= connections) return refuse(socket, '503 Service Unavailable')
    if (open >= connectionsPerAddress) return refuse(socket, '429 Too Many Requests')
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      byAddress.set(address, (byAddress.get(address) ?? 0) + 1)
      webSocket.once('close', () => {
        const left = (byAddress.get(address) ?? 1) - 1
        if (left > 0) byAddress.set(address, left)
        else byAddress.delete(address)
      })
      connect(webSocketPipe(webSocket))
    })
  })
  return sockets
}

/** Kept in memory for as long as the connection lasts, and written nowhere. */
function addressOf(request: IncomingMessage, proxy: boolean): string {
  const forwarded = proxy ? request.headers['x-forwarded-for'] : undefined
  // The last entry is the one that our own proxy added; what stands before it is the client's word.
  const last = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded)?.split(',').at(-1)?.trim()
  return last || (request.socket.remoteAddress ?? 'unknown')
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
