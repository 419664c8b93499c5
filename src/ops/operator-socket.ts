import { chmodSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'

/**
 * The way in which a command of the operator reaches the running service: HTTP over a Unix socket in the data directory.
 * Whoever may open that file is the operator; the network cannot reach it. An embedded database has one owner, so a command
 * cannot look into it beside the service.
 */
export interface OperatorSocket {
  close(): Promise<void>
}

/** The socket's name in the data directory. */
export const operatorSocketFile = 'operator.sock'

/** Most bytes of a path that the kernel takes (sockaddr_un), its end included. */
const mostPathBytes = 104
/** What a command asks for takes milliseconds; a busy database longer. */
const askMs = 30_000
/** Longest answer, bytes. */
const mostAnswerBytes = 1024 * 1024

/**
 * Listens. Undefined where another process of this data directory does already, or where the path is too long for a
 * socket.
 */
export async function openOperatorSocket(file: string, routes: Hono): Promise<OperatorSocket | undefined> {
  if (Buffer.byteLength(file) >= mostPathBytes || (await somebodyListens(file))) return undefined
  // Of a process that was killed.
  rmSync(file, { force: true })
  const server = createServer(getRequestListener(routes.fetch))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(file, resolve)
  })
  chmodSync(file, 0o600)
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
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
