import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What came in transactions while the probe listened. */
interface Seen {
  /** Content of to-device messages of the asked type. */
  readonly toDevice: boolean
  /** The fields of the transaction that brought them. */
  readonly keys: ReadonlySet<string>
  /** Events wait for the bridge; they were refused, so that the homeserver keeps them. */
  readonly eventsWaiting: boolean
}

export interface Probe {
  readonly port: number
  /** Resolves with what was seen as soon as a to-device message of this type came, or after `timeoutMs`. */
  wait(type: string, timeoutMs: number): Promise<Seen>
  /** Whether the homeserver's ping with this transaction id came here, and not to somebody else. */
  pinged(transaction: string): boolean
  close(): Promise<void>
}

const largestTransaction = 32 * 1024 * 1024

/**
 * Stands in for the bridge while that is not running: answers pings, and looks at what the homeserver pushes. It takes
 * no transaction that holds events: those it refuses, so that they are pushed again to the bridge itself.
 *
 * @returns undefined when the port is taken, most likely by the bridge
 */
export async function openProbe(host: string, port: number, hsToken: string): Promise<Probe | undefined> {
  let seen: Seen = { toDevice: false, keys: new Set(), eventsWaiting: false }
  let wanted = ''
  let notify: (() => void) | undefined
  const pings = new Set<unknown>()

  const take = (body: Record<string, unknown>): boolean => {
    if (Array.isArray(body.events) && body.events.length > 0) {
      seen = { ...seen, eventsWaiting: true }
      notify?.()
      return false
    }
    const messages = [body['de.sorunome.msc2409.to_device'], body.to_device].find(Array.isArray) as
      | { type?: unknown }[]
      | undefined
    if (messages?.some((message) => message?.type === wanted)) {
      seen = { ...seen, toDevice: true, keys: new Set(Object.keys(body)) }
      notify?.()
    }
    return true
  }

  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object = {}) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.headers.authorization !== `Bearer ${hsToken}`) return answer(403, { errcode: 'M_FORBIDDEN' })
    const body = await readJson(request)
    if (request.method === 'POST' && request.url === '/_matrix/app/v1/ping') {
      pings.add(body?.transaction_id)
      return answer(200)
    }
    if (request.method !== 'PUT' || !request.url?.startsWith('/_matrix/app/v1/transactions/'))
      return answer(404, { errcode: 'M_NOT_FOUND' })
    return body && take(body) ? answer(200) : answer(503, { errcode: 'M_UNKNOWN' })
  })
  const listening = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(port, host, () => resolve(true))
  })
  if (!listening) return undefined
  return {
    port: (server.address() as AddressInfo).port,
    async wait(type, timeoutMs) {
      wanted = type
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs)
        notify = () => {
          clearTimeout(timer)
          resolve()
        }
        if (seen.eventsWaiting) notify()
      })
      return seen
    },
    pinged: (transaction) => pings.has(transaction),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > largestTransaction) return undefined
      chunks.push(chunk)
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}')
  } catch {
    return undefined
  }
}
