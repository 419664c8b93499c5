/**
 * A whole bridge in this process, for tests: provider, edge, and a Synapse of its own; messenger devices and Matrix
 * clients are made by the test.
 */
import { serve } from '@hono/node-server'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { type Edge, type EdgeOptions, openEdge } from '../../src/edge/index.ts'
import { createSealer } from '../../src/store/index.ts'
import { freshDatabase, type TestDatabase } from '../../src/store/testing.ts'
import { hear } from './heard.ts'
import type { ClientMessage, MatrixClient } from './matrix-client.ts'
import { type Tap, testProvider, until } from './provider.ts'
import type { TestSynapse } from './synapse.ts'

export { type HeardFromMatrix, hear, hex } from './heard.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

export interface RunningEdge {
  readonly edge: Edge
  close(): Promise<void>
}

export interface EdgeWorld extends AsyncDisposable {
  readonly provider: Awaited<ReturnType<typeof testProvider>>
  readonly database: TestDatabase
  readonly operator: string
  /** Starts the edge (again); only one at a time. */
  startEdge(
    options?: Partial<EdgeOptions> & {
      tap?: Tap
      /** Stands between us and the homeserver. */
      fetch?: typeof fetch
      /** Changes what the homeserver pushes. */
      pushed?: (transaction: Record<string, unknown>) => Record<string, unknown>
    },
  ): Promise<RunningEdge>
  /** What the log was given, for a look at what must not be in it. */
  readonly logged: unknown[]
}

/** What the edge needs of a homeserver: a Synapse, or one in memory. */
export type Homeserver = Pick<TestSynapse, 'url' | 'registration' | 'appservicePort'>

export async function edgeWorld(
  synapse: Homeserver,
  settings: Parameters<typeof testProvider>[0] = {},
): Promise<EdgeWorld> {
  const provider = await testProvider(settings)
  const database = await freshDatabase('pglite')
  const operator = 'bridge.example'
  const { registration } = synapse
  const logged: unknown[] = []
  const keep =
    (print: (...what: unknown[]) => void) =>
    (...what: unknown[]) => {
      logged.push(what)
      if (process.env.SILTA_TEST_LOG) print(...what)
    }
  const running = new Set<RunningEdge>()
  const startEdge: EdgeWorld['startEdge'] = async ({ tap, settings, pushed, fetch, ...options } = {}) => {
    const connection = provider.connection(tap)
    const edge = await openEdge({
      connection,
      database,
      sealer: createSealer(nodeCrypto, [new Uint8Array(32).fill(9)]),
      crypto: nodeCrypto,
      mls: provider.mls,
      provider: provider.provider,
      operator,
      networkName: 'Test Messenger',
      tokenFor: async ({ subject, network, operator }) => JSON.stringify({ subject, kind: 'edge', operator, network }),
      homeserver: {
        url: synapse.url,
        domain: registration.domain,
        asToken: registration.asToken,
        hsToken: registration.hsToken,
        appserviceId: registration.id,
        botLocalpart: registration.botLocalpart,
        userPrefix: registration.userPrefix,
        ...(fetch ? { fetch } : {}),
      },
      settings: { ...settings, portals: { retryMs: 50, retryMaxMs: 500, ...settings?.portals } },
      log: { ...quiet, warn: keep(console.error), error: keep(console.error) },
      ...options,
    })
    const server = serve({
      async fetch(request) {
        if (!pushed || request.method !== 'PUT') return edge.routes.fetch(request)
        const body = JSON.stringify(pushed(JSON.parse(await request.text())))
        const { method, headers } = request
        const changed = new Headers(headers)
        changed.delete('content-length')
        return edge.routes.fetch(new Request(request.url, { method, headers: changed, body }))
      },
      hostname: '127.0.0.1',
      port: synapse.appservicePort,
    })
    await edge.start()
    const one: RunningEdge = {
      edge,
      async close() {
        if (!running.delete(one)) return
        await edge.drain()
        await connection.close()
        await new Promise<void>((resolve) => {
          server.close(() => resolve())
          ;(server as { closeAllConnections?(): void }).closeAllConnections?.()
        })
      },
    }
    running.add(one)
    return one
  }
  return {
    provider,
    database,
    operator,
    startEdge,
    logged,
    async [Symbol.asyncDispose]() {
      for (const one of running) await one.close()
      await provider.close()
      await database.close()
    },
  }
}

/** Waits for a message that a Matrix client sees in a room, of anybody but itself. */
export async function untilSeen(
  client: MatrixClient,
  room: string,
  pattern: RegExp,
  times = 1,
): Promise<ClientMessage> {
  let found: ClientMessage[] = []
  await until(`${pattern} in a Matrix room`, async () => {
    const messages = await client.messages(room)
    found = messages.filter(({ sender, content }) => sender !== client.user && pattern.test(String(content.body)))
    return found.length >= times
  })
  return found[times - 1]!
}

/** Waits for the Matrix room in which a client meets a ghost, other than those known already. */
export async function untilRoom(client: MatrixClient, known: readonly string[]): Promise<string> {
  let fresh: string | undefined
  await until('a new Matrix room', async () => {
    fresh = (await client.joined()).find((room) => !known.includes(room))
    return fresh !== undefined
  })
  return fresh!
}

/** A messenger account that is reachable over Matrix, and what it hears. */
export async function person(world: EdgeWorld, name: string) {
  const made = await world.provider.register(name)
  await made.device.setReachable('matrix', true)
  return { ...made, heard: hear(made.device) }
}

/** Somebody on the messenger and a Matrix client, in an open conversation that the messenger's side began. */
export async function conversation(world: EdgeWorld, name: string, client: MatrixClient) {
  const other = await person(world, name)
  const before = await client.joined()
  const room = await other.device.conversationWith({ network: 'matrix', value: client.user })
  const matrixRoom = await untilRoom(client, before)
  await until('acceptance', async () => (await other.device.room(room))?.otherStanding === 'accepted')
  await untilSeen(client, matrixRoom, /can read this chat/)
  return { ...other, room, matrixRoom }
}

/** The bodies of what a Matrix client was sent in a room by people, in the order of its timeline. */
export async function textsSeen(client: MatrixClient, room: string): Promise<string[]> {
  const messages = await client.messages(room)
  return messages
    .filter(({ sender, content }) => sender !== client.user && content.msgtype === 'm.text')
    .map(({ content }) => String(content.body))
}
