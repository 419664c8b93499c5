import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { type WebSocket, WebSocketServer } from 'ws'

export interface ListenerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly app: Hono
  readonly webSocket: {
    readonly path: string
    /** Largest message, in bytes; a larger one closes the socket with 1009. */
    readonly maxBytes: number
    /** Sockets at a time, in all and from one address. */
    readonly most: number
    readonly mostPerAddress: number
    accept(socket: WebSocket): void
  }
  /** Whether X-Forwarded-For is believed: only behind a proxy that sets it. */
  readonly proxy: boolean
}

export interface Listener {
  readonly port: number
  /** Takes no new connections; those that are open go on. */
  stopAccepting(): void
  /** Resolves when all WebSockets are closed; cuts off those that are left when `deadline` is aborted. */
  webSocketsClosed(deadline: AbortSignal): Promise<void>
  /** Closes what is left, idle or not. */
  close(): Promise<void>
}

/** ListenError: the address cannot be listened on. */
export class ListenError extends Error {
  readonly code: string

  constructor(code: string, port: number) {
    const why = code === 'EADDRINUSE' ? 'something else listens there' : code === 'EACCES' ? 'this user may not' : code
    super(`cannot listen on port ${port}: ${why}`)
    this.name = 'ListenError'
    this.code = code
  }
}

/**
 * Slow senders hold a connection no longer than this, ms (Slowloris). Requests here are small; the largest, a transaction
 * of the homeserver, comes from a machine nearby.
 */
const requestTimeoutMs = 60_000
const headersTimeoutMs = 15_000
/** Above the idle timeouts of common proxies (60 s), which would otherwise send into a connection that closes. */
const keepAliveMs = 65_000

/** One HTTP server for all: the app's routes, and WebSockets at one path. */
export async function openListener({ host, port, app, webSocket, proxy }: ListenerOptions): Promise<Listener> {
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  server.requestTimeout = requestTimeoutMs
  server.headersTimeout = headersTimeoutMs
  server.keepAliveTimeout = keepAliveMs
  // No compression: it would let the length of a frame speak of what is in it, and costs memory per socket.
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: webSocket.maxBytes })
  const perAddress = new Map<string, number>()
  let accepting = true

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // The other side may be gone at any moment; without a listener that would end the process.
    socket.on('error', () => socket.destroy())
    const address = addressOf(request, proxy)
    const count = perAddress.get(address) ?? 0
    if (!accepting) return refuse(socket, '503 Service Unavailable')
    if (request.url?.split('?', 1)[0] !== webSocket.path) return refuse(socket, '404 Not Found')
    if (sockets.clients.size >= webSocket.most) return refuse(socket, '503 Service Unavailable')
    if (count >= webSocket.mostPerAddress) return refuse(socket, '429 Too Many Requests')
    perAddress.set(address, count + 1)
    socket.once('close', () => {
      const left = (perAddress.get(address) ?? 1) - 1
      if (left > 0) perAddress.set(address, left)
      else perAddress.delete(address)
    })
    sockets.handleUpgrade(request, socket, head, webSocket.accept)
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new ListenError(error.code ?? 'unknown', port)))
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    stopAccepting() {
      accepting = false
      server.close()
      server.closeIdleConnections()
    },
    async webSocketsClosed(deadline) {
      const open = [...sockets.clients].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      )
      deadline.addEventListener('abort', () => {
        for (const socket of sockets.clients) socket.terminate()
      })
      await Promise.all(open)
    },
    async close() {
      accepting = false
      for (const socket of sockets.clients) socket.terminate()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Whom a connection is counted for. Of X-Forwarded-For the last entry counts, which the nearest proxy wrote itself. */
function addressOf(request: IncomingMessage, proxy: boolean): string {
  const forwarded = proxy
    ? String(request.headers['x-forwarded-for'] ?? '')
        .split(',')
        .at(-1)
        ?.trim()
    : undefined
  return forwarded || (request.socket.remoteAddress ?? 'unknown')
}
