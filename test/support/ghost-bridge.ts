import { serve } from '@hono/node-server'
import { nodeCrypto } from '../../src/crypto/node.ts'
import {
  type Appservice,
  type AppserviceHandlers,
  createAppservice,
  type Decrypted,
  type DecryptResult,
  defaultMatrixSettings,
  type GhostId,
  type Ghosts,
  type Homeserver,
  isDecrypted,
  type MatrixSettings,
  openGhosts,
  openHomeserver,
  type StoredEvent,
  startMatrix,
  transactionId,
} from '../../src/edge/matrix/index.ts'
import type { RegistrationSettings } from '../../src/edge/matrix/registration.ts'
import { type AccountAddress, newAccountAddress } from '../../src/identity/index.ts'
import { createSealer, type Database } from '../../src/store/index.ts'

/**
 * The Matrix side alone, with the simplest of portals: ghosts join where they are invited, and what they can read is kept
 * in a list.
 */
export interface GhostBridge extends AsyncDisposable {
  readonly homeserver: Homeserver
  readonly ghosts: Ghosts
  readonly appservice: Appservice
  readonly received: Received[]
  newGhost(): Promise<GhostId>
  /** Encrypts and sends; gives the event id. */
  say(ghost: GhostId, room: string, body: string, members: readonly string[]): Promise<string>
  untilReceived(body: string, timeoutMs?: number): Promise<Received>
  close(): Promise<void>
}

export interface Received extends Decrypted {
  readonly room: string
  readonly eventId: string
}

export interface GhostBridgeOptions {
  readonly synapse: {
    readonly url: string
    readonly registration: RegistrationSettings
    readonly appservicePort: number
  }
  readonly database: Database
  readonly settings?: Partial<MatrixSettings>
  /** Stands between the homeserver and us. */
  readonly intercept?: (request: Request, pass: () => Promise<Response>) => Promise<Response>
  /** The database as the appservice sees it, for faults. */
  readonly appserviceDatabase?: Database
  readonly fetch?: typeof fetch
  /** Called before a message counts as handled: what it stores is there at least once. */
  readonly onReceived?: (message: Received) => void
  /** Called for each message that could not be decrypted yet. */
  readonly onUnreadable?: (event: StoredEvent, result: DecryptResult) => void
  readonly steps?: (name: string) => void | Promise<void>
}

export const testSealer = createSealer(nodeCrypto, [new Uint8Array(32).fill(7)])
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

export async function openGhostBridge(options: GhostBridgeOptions): Promise<GhostBridge> {
  const { synapse, database } = options
  const { registration } = synapse
  const settings: MatrixSettings = { ...defaultMatrixSettings, ...options.settings }
  const log = process.env.SILTA_TEST_LOG ? { ...quiet, warn: console.error, error: console.error } : quiet
  const common = { database, sealer: testSealer, crypto: nodeCrypto, settings, log }
  const homeserver = openHomeserver({
    url: synapse.url,
    asToken: registration.asToken,
    domain: registration.domain,
    settings,
    ...(options.fetch ? { fetch: options.fetch } : {}),
  })
  const ghosts = await openGhosts({ ...common, ...registration, homeserver, steps: options.steps })
  const received: Received[] = []
  const waiting = new Set<() => void>()
  const rooms = new Map<string, GhostId>()
  let sent = 0

  const handle = async (event: StoredEvent): Promise<boolean> => {
    const { room, type, stateKey, content, eventId } = event
    if (type === 'm.room.member' && content.membership === 'invite' && (await ghosts.accountOf(stateKey!))) {
      rooms.set(room, stateKey as GhostId)
      await homeserver.join({ user: stateKey! }, room)
    }
    if (type !== 'm.room.encrypted' || received.some((message) => message.eventId === eventId)) return true
    const ghost = rooms.get(room) ?? (await ghostIn(room))
    const result = await ghosts.decrypt(ghost, room, event.event)
    if (!isDecrypted(result)) {
      options.onUnreadable?.(event, result)
      return 'failed' in result
    }
    const message = { ...result, room, eventId }
    options.onReceived?.(message)
    received.push(message)
    for (const look of waiting) look()
    return true
  }
  const ghostIn = async (room: string): Promise<GhostId> => {
    const rows = await database.query<{ mxid: GhostId }>('select mxid from ghost')
    for (const { mxid } of rows)
      if (await homeserver.joinedMembers({ user: mxid }, room).catch(() => undefined)) {
        rooms.set(room, mxid)
        return mxid
      }
    throw new Error('no ghost is in the room')
  }
  const handlers: AppserviceHandlers = {
    wants: ({ sender, type }) => type !== 'm.room.encrypted' || !sender.startsWith(`@${registration.userPrefix}`),
    async onEvents(_room, events) {
      for (const event of events) {
        if (!(await handle(event))) return { retryAfterMs: 500 }
        await database.transaction((tx) => appservice.finishEvent(tx, event.id))
      }
      return undefined
    },
  }
  const appservice = createAppservice({
    ...common,
    database: options.appserviceDatabase ?? database,
    hsToken: registration.hsToken,
    ghosts,
    handlers,
    steps: options.steps,
  })
  ghosts.onRoomKey((_ghost, room) => appservice.wake(room))
  const intercept = options.intercept ?? ((_request, pass) => pass())
  const server = serve({
    fetch: async (request) => intercept(request.clone(), async () => appservice.routes.fetch(request)),
    hostname: '127.0.0.1',
    port: synapse.appservicePort,
  })
  const stop = new AbortController()
  const { recovered } = await startMatrix({
    homeserver,
    appservice,
    ghosts,
    appserviceId: registration.id,
    log,
    signal: stop.signal,
  })
  await recovered

  const close = async () => {
    stop.abort()
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      ;(server as { closeAllConnections?(): void }).closeAllConnections?.()
    })
    await appservice.drain()
    await ghosts.close()
  }
  return {
    homeserver,
    ghosts,
    appservice,
    received,
    newGhost: () => ghosts.ensure(newAccountAddress(nodeCrypto, 'silta.test') as AccountAddress),
    async say(ghost, room, body, members) {
      const content = await ghosts.encrypt(ghost, room, 'm.room.message', { msgtype: 'm.text', body }, members)
      const device = await ghosts.deviceOf(ghost)
      const transaction = transactionId(ghost, `${process.pid}.${Date.now()}.${sent++}`)
      return homeserver.putEvent({ user: ghost, device }, room, 'm.room.encrypted', transaction, content)
    },
    untilReceived(body, timeoutMs = 90_000) {
      const look = () => received.find((message) => message.content.body === body)
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`the bridge did not get a message within ${timeoutMs} ms`))
        }, timeoutMs)
        const check = () => {
          const found = look()
          if (!found) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        check()
      })
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
