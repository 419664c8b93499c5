import { chmodSync, rmSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { connect } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'

/**
 * The way in which a command of the operator reaches the running service: HTTP over a Unix socket in the data directory.
 * Whoever may open that file is the operator; the network cannot reach it. An embedded database has one owner, so a command
 * cannot look into it beside the service.
 */
export interface OperatorSocket {
  /** False while another process of this data directory has the socket: it is taken when that one ends. */
  readonly listens: boolean
  close(): Promise<void>
}

/** The socket's name in the data directory. */
export const operatorSocketFile = 'operator.sock'

/** Most bytes of a path that the kernel takes (sockaddr_un), its end included. */
const mostPathBytes = 104
/** What a command asks for takes milliseconds; a busy database longer. */
const askMs = 30_000
/** How often a process looks whether the one before it has let go of the socket, ms: it drains for seconds. */
const takeOverMs = 1_000
/** Longest answer, bytes. */
const mostAnswerBytes = 1024 * 1024

/**
 * Listens, at once or, where another process of this data directory does (a rolling restart), when that one has ended.
 * Undefined where the path is too long for a socket.
 */
export async function openOperatorSocket(
  file: string,
  routes: Hono,
  { retryMs = takeOverMs }: { retryMs?: number } = {},
): Promise<OperatorSocket | undefined> {
  if (Buffer.byteLength(file) >= mostPathBytes) return undefined
  let server = await tryToListen(file, routes)
  let looking: Promise<void> | undefined
  const timer = setInterval(() => {
    if (server) clearInterval(timer)
    // What keeps it from listening now is no reason to end: the next look may find it gone.
    else
      looking ??= tryToListen(file, routes).then(
        (found) => {
          server = found
          looking = undefined
        },
        () => {
          looking = undefined
        },
      )
  }, retryMs)
  timer.unref()
  return {
    get listens() {
      return server !== undefined
    },
    async close() {
      clearInterval(timer)
      await looking
      const listening = server
      if (!listening) return
      const closed = new Promise<void>((resolve) => listening.close(() => resolve()))
      listening.closeAllConnections()
      await closed
    },
  }
}

/** Undefined while somebody else listens there. */
async function tryToListen(file: string, routes: Hono): Promise<Server | undefined> {
  if (await somebodyListens(file)) return undefined
  // Of a process that was killed.
  rmSync(file, { force: true })
  const server = createServer(getRequestListener(routes.fetch))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(file, resolve)
  })
  chmodSync(file, 0o600)
  return server
}

function somebodyListens(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(file, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** What the service has answered to a command. */
export interface OperatorAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

export interface OperatorQuestion {
  readonly method?: string
  readonly path: string
  readonly body?: object
  /** Longest silence, ms; 0: what is asked for takes as long as it takes. */
  readonly waitMs?: number
}

/** Asks the running service. Undefined when there is none at this socket. */
export function askOperator(
  file: string,
  { method = 'POST', path, body = {}, waitMs = askMs }: OperatorQuestion,
): Promise<OperatorAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request(
      { socketPath: file, path, method, headers, timeout: waitMs, agent: false },
      async (response) => {
        const parts: Buffer[] = []
        let bytes = 0
        try {
          for await (const part of response as AsyncIterable<Buffer>) {
            bytes += part.length
            if (bytes > mostAnswerBytes) throw new Error('the answer is too long')
            parts.push(part)
          }
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) })
        } catch (error) {
          reject(error)
        }
      },
    )
    asked.once('timeout', () => asked.destroy(new Error('the service does not answer')))
    asked.once('error', (error: NodeJS.ErrnoException) =>
      ['ENOENT', 'ECONNREFUSED'].includes(error.code ?? '') ? resolve(undefined) : reject(error),
    )
    asked.end(method === 'GET' ? undefined : JSON.stringify(body))
  })
}
