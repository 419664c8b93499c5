import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { type WebSocket, WebSocketServer } from 'ws'
import { addressIn, webSocketPath, webSocketPipe } from './messenger/index.ts'
import type { FramePipe } from './protocol/index.ts'

export interface WebServerOptions {
  readonly app: Hono
  readonly host: string
  readonly port: number
  /** Takes a messenger's connection from an address. */
  readonly connect: (pipe: FramePipe, address: string) => void
  /** Milliseconds that a request for this path from an address has to wait: 0, it is taken; more, it is refused with 429. */
  readonly admit?: (path: string, address: string) => number
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
  /** From now on takes no new connection; those that are open go on. */
  stopAccepting(): void
  /** Closes WebSockets with 1001 and waits until requests under way are answered; cuts off what is left at the deadline. */
  close(deadline?: AbortSignal): Promise<void>
}

/** The address cannot be listened on. */
export class ListenError extends Error {
  readonly code: string

  constructor(code: string, port: number) {
    const why = code === 'EADDRINUSE' ? 'something else listens there' : code === 'EACCES' ? 'this user may not' : code
    super(`cannot listen on port ${port}: ${why}`)
    this.name = 'ListenError'
    this.code = code
  }
}

/** Half-open connections: time for the headers and for a whole request, ms. A homeserver's transaction is sent in one go. */
const headersTimeoutMs = 10_000
const requestTimeoutMs = 60_000
/** How long a connection without a request is kept: longer than a homeserver's pool keeps it, so that it closes first. */
const keepAliveMs = 75_000
/** How long a peer may take to answer a close, when nobody says otherwise. */
const closeMs = 1_000

/** HTTP and, at one path, the messenger's WebSocket. */
export async function openWebServer(options: WebServerOptions): Promise<WebServer> {
  const { app, host, port } = options
  const server = createServer({ headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs })
  server.keepAliveTimeout = keepAliveMs
  const listener = getRequestListener(app.fetch)
  server.on('request', (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? ''
    const waitMs = options.admit?.(path, addressOf(request, options.proxy)) ?? 0
    if (waitMs === 0) return void listener(request, response)
    response.writeHead(429, { 'retry-after': String(Math.ceil(waitMs / 1000)), 'content-length': '0' }).end()
  })
  const sockets = serveWebSockets(server, options)
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(new ListenError(error.code ?? 'unknown', port))
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
  const address = server.address() as AddressInfo
  const shownHost = address.address === '::' || address.address === '0.0.0.0' ? '127.0.0.1' : address.address
  return {
    url: `http://${shownHost.includes(':') ? `[${shownHost}]` : shownHost}:${address.port}`,
    port: address.port,
    stopAccepting() {
      sockets.stop()
      server.close()
      server.closeIdleConnections()
    },
    async close(deadline = AbortSignal.timeout(closeMs)) {
      sockets.stop()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cutOff = () => {
        for (const socket of sockets.open) socket.terminate()
        server.closeAllConnections()
      }
      deadline.addEventListener('abort', cutOff, { once: true })
      server.closeIdleConnections()
      const all = [...sockets.open].map((socket) => {
        socket.close(1001, 'going away')
        return new Promise<void>((resolve) => socket.once('close', () => resolve()))
      })
      if (deadline.aborted) cutOff()
      await Promise.all([closed, ...all])
      deadline.removeEventListener('abort', cutOff)
    },
  }
}

interface Sockets {
  readonly open: ReadonlySet<WebSocket>
  stop(): void
}

function serveWebSockets(server: Server, options: WebServerOptions): Sockets {
  const { connect, frameBytes, connections, connectionsPerAddress, proxy } = options
  const sockets = new WebSocketServer({ noServer: true, maxPayload: frameBytes, perMessageDeflate: false })
  const byAddress = new Map<string, number>()
  let accepting = true
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until `ws` has taken it over, an error of the socket would end the process.
    socket.on('error', () => socket.destroy())
    if (!accepting) return refuse(socket, '503 Service Unavailable')
    // Not by `new URL`, which throws for some paths.
    if (request.url?.split('?', 1)[0] !== webSocketPath) return refuse(socket, '404 Not Found')
    const from = addressOf(request, proxy)
    const address = addressIn(from)
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
      connect(webSocketPipe(webSocket, socket), from)
    })
  })
  return {
    open: sockets.clients,
    stop() {
      accepting = false
    },
  }
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
