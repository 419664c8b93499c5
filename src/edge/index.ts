/**
 * The edge: Matrix users as devices of the messenger, messenger accounts as ghosts on Matrix, and what joins them.
 *
 * An ordinary client of the messenger with a foreign network behind it. It may know the client SDK, the store and the
 * homeserver; it must never import the hub, and plaintext must not leave it in a log, a metric or an error. State is
 * sealed in the database under a key that is not there.
 */
import type { Hono } from 'hono'
import { type Connection, type DeviceOptions, groupCache, serveNetwork } from '../client/index.ts'
import { recordCache } from '../client/storage/sql.ts'
import type { Crypto } from '../crypto/index.ts'
import { toBase64Url } from '../crypto/index.ts'
import type { Metrics } from '../ops/index.ts'
import { currentIncarnation, type Database, type Sealer } from '../store/index.ts'
import { edgeInstruments, timedGhosts } from './instruments.ts'
import { type Appservice, createAppservice } from './matrix/appservice.ts'
import { openBot } from './matrix/bot.ts'
import { openGhosts } from './matrix/ghosts.ts'
import { openHomeserver } from './matrix/homeserver.ts'
import { sendAlone } from './matrix/http-client.ts'
import type { Log } from './matrix/log.ts'
import { parseMxid } from './matrix/mxid.ts'
import { defaultMatrixSettings, type MatrixSettings } from './matrix/settings.ts'
import { catchingUp, startMatrix } from './matrix/startup.ts'
import type { Steps } from './matrix/steps.ts'
import { watchHomeserver } from './matrix/watch.ts'
import { eventHandlers } from './portals/handlers.ts'
import {
  codeOf,
  defaultPortalSettings,
  holdLeases,
  matrixUsers,
  openPortals,
  type PortalSettings,
} from './portals/index.ts'
import { matrixResolver } from './portals/resolve.ts'
import { thirdParty } from './portals/third-party.ts'

export type { MatrixSettings } from './matrix/settings.ts'
export { beginningSteps, type EdgeStep, groupSteps, matrixSteps } from './matrix/steps.ts'
export { matrixCapabilities } from './matrix/translate/index.ts'
export type { PortalSettings } from './portals/index.ts'

export interface EdgeOptions {
  readonly connection: Connection
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly mls: DeviceOptions['mls']
  /** The provider's domain, as people are told who carries their messages. */
  readonly provider: string
  /** Who runs this edge, as it stands in the accounts' endorsements and in the posture. */
  readonly operator: string
  /** What people call the messenger; the provider's domain when not given. */
  readonly networkName?: string
  /** A token for an account of kind edge; without a subject, for the edge itself. */
  tokenFor(claims: { subject: string; network: string; operator: string }): Promise<string>
  readonly homeserver: {
    /** Base URL of the Client-Server API. */
    readonly url: string
    /** The server name in Matrix ids. */
    readonly domain: string
    readonly asToken: string
    readonly hsToken: string
    readonly appserviceId: string
    readonly botLocalpart: string
    readonly userPrefix: string
    readonly fetch?: typeof fetch
  }
  readonly settings?: {
    readonly matrix?: Partial<MatrixSettings>
    readonly portals?: Partial<PortalSettings>
    readonly client?: DeviceOptions['settings']
  }
  readonly trust?: DeviceOptions['trust']
  readonly log: Log
  readonly metrics?: Metrics
  readonly steps?: Steps
  readonly clock?: () => number
}

export interface Edge {
  /** /_matrix/app/v1/*, for the process' HTTP server. */
  readonly routes: Hono
  /** To be called once the routes are served. Resolves when conversations go on; what was missed follows. */
  start(): Promise<void>
  /** Resolves when nothing is under way and nothing due; for tests. */
  idle(): Promise<void>
  /** Finishes what is under way and lets go of everything. The connection and the database stay open. */
  drain(): Promise<void>
}

/** The network's name on the messenger's side. */
const network = 'matrix'
/** Decoded group states of all devices together that are kept in memory; one takes some 40 KB. */
const cachedGroups = 256
/** Opened records of all devices together that are kept in memory, bytes: some hundred busy conversations. */
const cachedRecordBytes = 16 * 1024 * 1024
const botRetryMs = 5_000

export async function openEdge(options: EdgeOptions): Promise<Edge> {
  const { connection, database, sealer, crypto, mls, operator, provider, log, clock = Date.now } = options
  const { domain, botLocalpart, userPrefix, appserviceId } = options.homeserver
  const steps = options.steps ?? (() => {})
  const matrixSettings = { ...defaultMatrixSettings, ...options.settings?.matrix }
  const portalSettings = { ...defaultPortalSettings, ...options.settings?.portals }
  const networkName = options.networkName ?? provider
  const stopping = new AbortController()
  const fault = (what: string) => (error: unknown) => log.warn({ code: codeOf(error), error }, what)

  // The embedded database is open in one process only, so whoever held a lease in it is gone.
  if (database.dialect === 'pglite')
    await database.query(`update lease set held_until = 0 where name like 'matrix user %' or name like 'ghost %'`)
  const instruments = edgeInstruments(options.metrics, { database, clock })
  const homeserver = openHomeserver({
    ...options.homeserver,
    settings: matrixSettings,
    observe: (method, status, seconds) =>
      instruments.timers.observe('homeserver', seconds, { method: method.toLowerCase(), status: String(status) }),
  })
  const given = { database, sealer, crypto, homeserver, userPrefix, botLocalpart, settings: matrixSettings, log, steps }
  const ghosts = timedGhosts(await openGhosts(given), instruments.timers)
  const leases = holdLeases({
    database,
    owner: toBase64Url(crypto.randomBytes(9)),
    ttlMs: portalSettings.userLeaseMs,
    onLost: (name) => void users.lost(name),
    onFault: fault('leases could not be renewed'),
  })
  const botMxid = `@${botLocalpart}:${domain}`
  const isOurs = (mxid: string) =>
    mxid === botMxid || (mxid.startsWith(`@${userPrefix}`) && mxid.endsWith(`:${domain}`))

  const users = await matrixUsers({
    ...{ connection, database, sealer, crypto, mls, leases, clock, steps },
    groupCache: groupCache(cachedGroups),
    recordCache: recordCache(cachedRecordBytes),
    ...(options.settings?.client === undefined ? {} : { settings: options.settings.client }),
    ...(options.trust === undefined ? {} : { trust: options.trust }),
    tokenFor: (subject) => options.tokenFor({ subject, network, operator }),
    async displayNameOf(mxid) {
      return isOurs(mxid) ? undefined : (await homeserver.profile(mxid))?.displayname
    },
    onDevice: (user) => portals.listen(user),
    onFault: fault('the device of a Matrix user could not be opened'),
    portalSettings,
    incarnation: await currentIncarnation(database),
  })

  const portals = openPortals({
    ...{ database, sealer, crypto, homeserver, ghosts, users, clock, log, steps, isOurs },
    settings: { ...matrixSettings, ...portalSettings },
    ...instruments,
    host: provider,
    stopping: stopping.signal,
    finishEvent: (tx, ...ids) => appservice.finishEvent(tx, ...ids),
    storeMissed: (tx, handled, missed) => appservice.storeMissed(tx, handled, missed),
    wakeRoom: (room) => appservice.wake(room),
  })
  /** Who looks up for somebody that has no account, and need not get one for asking: nobody's names, with limits of their own. */
  const lookUpAs = (mxid: string) => async (handle: string) => (await users.ensure(mxid)).device.lookUp({ handle })
  const bot = openBot({ portals, network: networkName, lookUp: lookUpAs(botMxid) })
  const lookUp = lookUpAs(`@${userPrefix}third_party:${domain}`)
  const appservice: Appservice = createAppservice({
    ...{ database, sealer, crypto, ghosts, log, steps },
    hsToken: options.homeserver.hsToken,
    settings: matrixSettings,
    handlers: {
      ...eventHandlers({ portals, bot, botMxid }),
      onEphemeral: portals.ephemeral,
      ...thirdParty({ context: portals.context, network: networkName, lookUp }),
    },
  })
  ghosts.onRoomKey((_ghost, room) => void portals.keyCame(room).catch(fault('a room key could not be followed up')))

  let served: { stop(): void } | undefined

  /** The bot is there before anybody can invite it, unless the homeserver is down: then it is tried again behind. */
  const makeBot = async (): Promise<void> => {
    try {
      const bot = await ghosts.ensureBot()
      const path = `/_matrix/client/v3/profile/${encodeURIComponent(bot)}/displayname`
      await homeserver.call('PUT', path, { as: { user: bot }, body: { displayname: `${networkName} (bridge)` } })
    } catch (error) {
      fault('the bot could not be made')(error)
      setTimeout(() => stopping.signal.aborted || void makeBot(), botRetryMs).unref()
    }
  }

  /** Not observed: what is held back on purpose would count as slow. */
  const watched = openHomeserver({ fetch: sendAlone, ...options.homeserver, settings: matrixSettings })
  const catchUp = catchingUp({ appservice, ghosts, log, signal: stopping.signal })
  const watch = (): Promise<void> => {
    const watcher = `${userPrefix}watch`
    return watchHomeserver({
      ...{ homeserver: watched, as: { user: `@${watcher}:${domain}` }, settings: matrixSettings },
      register: () => homeserver.registerUser(watcher),
      onAway: () => appservice.suspectGaps(true),
      onBack() {
        appservice.suspectGaps()
        log.info({}, 'the homeserver is back: what it may have forgotten is looked for')
        void catchUp()
      },
      signal: stopping.signal,
    })
  }
  let watching: Promise<void> = Promise.resolve()

  return {
    routes: appservice.routes,
    async start() {
      served = await serveNetwork(connection, {
        network,
        accessToken: () => options.tokenFor({ subject: network, network, operator }),
        served: users.served,
        waiting: users.waiting,
        resolve: matrixResolver({ homeserver, users, isOurs, settings: portalSettings, clock, parse: parseMxid }),
      })
      await makeBot()
      watching = watch()
      await startMatrix({ homeserver, appservice, ghosts, appserviceId, log, signal: stopping.signal }, catchUp)
      await portals.start()
      // Nobody waits for these: whatever needs a device opens it.
      users.start()
    },
    async idle() {
      await appservice.idle()
      await portals.idle()
    },
    async drain() {
      stopping.abort()
      served?.stop()
      await watching
      await appservice.drain()
      await portals.stop()
      await users.close()
      await ghosts.close()
      await leases.close()
    },
  }
}
