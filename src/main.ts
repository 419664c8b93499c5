/**
 * The composition root: configuration → store → hub → gateway → edge → listen → drain. The only room that knows all the
 * others; what it hands down are small interfaces.
 */
import { join } from 'node:path'
import { Hono } from 'hono'
import { type AuditStep, type ErasureStep, openComplianceLog } from './audit/index.ts'
import { backupRoutes } from './backup.ts'
import { openBus } from './bus/index.ts'
import { connect } from './client/index.ts'
import { type Config, configFields, readSecrets, type Secrets } from './config/index.ts'
import { nodeCrypto } from './crypto/node.ts'
import { type Edge, type EdgeOptions, type EdgeStep, openEdge } from './edge/index.ts'
import { type HubStep, hubCounters, openHub } from './hub/index.ts'
import {
  defaultGatewaySettings,
  type Gateway,
  type GatewaySettings,
  gatewayCounters,
  gatewayTimers,
  openGateway,
  openNetworks,
  openRates,
  trialIssuerRoutes,
} from './messenger/index.ts'
import { counted } from './mls/counted.ts'
import { nodeMlsProvider } from './mls/provider-node.ts'
import {
  type Dependency,
  healthGauges,
  type Log,
  type Metrics,
  openFaultLog,
  openHealth,
  openLog,
  openMetrics,
  openOperatorSocket,
  openShutdown,
  operatorSocketFile,
  type Shutdown,
  statusRoutes,
} from './ops/index.ts'
import { openPages } from './pages/index.ts'
import { inProcessPipe } from './protocol/in-process-pipe.ts'
import { createSealer, type Database, isStoreError, openDatabase } from './store/index.ts'
import { openTokens, type Tokens } from './token-issuers.ts'
import { openWebServer } from './web-server.ts'

export interface ServiceOptions {
  readonly log?: Log
  /** Called between what must survive a kill; for crash tests. */
  readonly steps?: (step: HubStep | EdgeStep | AuditStep | ErasureStep) => void | Promise<void>
  /** Folder of the built pages; the usual one when not given. */
  readonly pages?: string
  /** Other limits than those that people have, where one device stands for many; for measurements. */
  readonly gateway?: Partial<GatewaySettings>
}

export interface Service {
  /** Base URL, as this machine reaches it. */
  readonly url: string
  /** Drains and stops everything, in order. @returns whether all of it ended well and in time */
  stop(reason: string): Promise<boolean>
  /** Resolves when it has stopped, for whatever reason, with whether that was in order. */
  readonly ended: Promise<boolean>
}

/** Label under which the key that hides tokens' subjects is derived; it has to last as long as the accounts. */
const subjectKeyLabel = 'silta subjects v1'
/** What this program has an edge for, whether it is configured or not. */
const reachableOver = ['matrix']

/** Label under which the key of the table of pseudonyms is derived; it has to last as long as the accounts. */
const pseudonymKeyLabel = 'silta audit pseudonyms v1'
const second = 1000
const day = 24 * 3600 * second
/** What anybody may ask for over HTTP, and how often from one network: a page with what it loads is five requests. */
const forStrangers = /^\/(g|app|assets|trial)(\/|$)/
const pagesPerMinute = 1200

/** Starts the whole service in this process. Rejects when something it needs is not there; nothing stays open then. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const log = options.log ?? openLog({ level: config.log.level })
  const secrets = readSecrets(config, nodeCrypto)
  const shutdown = openShutdown({ graceMs: config.shutdown.graceSeconds * second, log })
  const ended = Promise.withResolvers<boolean>()
  let broken = false
  const stop = async (reason: string): Promise<boolean> => {
    const well = (await shutdown.run(reason)) && !broken
    ended.resolve(well)
    return well
  }
  // Going on would be wrong: what is not on disk may be told to nobody.
  const fail = (reason: string): void => {
    broken = true
    void stop(reason)
  }
  try {
    const { url } = await compose({ config, secrets, log, shutdown, fail, options })
    return { url, stop, ended: ended.promise }
  } catch (error) {
    await stop('failed-to-start')
    throw error
  }
}

interface Surroundings {
  readonly config: Config
  readonly secrets: Secrets
  readonly log: Log
  readonly shutdown: Shutdown
  readonly options: ServiceOptions
  fail(reason: string): void
}

async function compose(surroundings: Surroundings): Promise<{ url: string }> {
  const { config, secrets, log, shutdown, options, fail } = surroundings
  const crypto = nodeCrypto
  const metrics = openMetrics()
  const mlsOperations = metrics.counters('mls', {
    operations: { help: 'Public-key operations of MLS', labels: ['operation'] },
  })
  const mls = counted(nodeMlsProvider(), (operation) => mlsOperations.count('operations', { operation }))
  const database = await openDatabase({
    url: secrets.databaseUrl,
    directory: join(config.dataDirectory, 'database'),
    connections: config.database.connections,
    onFault(error) {
      log.error({ error }, 'the database has a fault')
      if (isStoreError(error, 'disk')) fail('disk')
    },
  })
  shutdown.add('database', () => database.close())
  const bus = openBus({ onFault: (error) => log.error({ error }, 'a listener of the bus failed') })
  shutdown.add('bus', () => bus.close())

  const tokens = await openTokens(config, secrets)
  const retentionMs = config.retention.mailboxDays * day
  const audit = await openComplianceLog({
    ...{ database, crypto },
    subjectKeysFile: config.audit.subjectKeysFile ?? join(config.dataDirectory, 'secrets', 'subject-keys'),
    pseudonymKey: crypto.hkdfSha256(secrets.providerKey, new Uint8Array(), pseudonymKeyLabel, 32),
    logKeys: { keys: secrets.auditKeys, signCommand: config.audit.signCommand, signKey: config.audit.signKey },
    policy: secrets.auditPolicy,
    bucket: secrets.auditStore,
    provider: config.provider.domain,
    networks: reachableOver,
    dataDirectory: config.dataDirectory,
    owner: crypto.randomBytes(8).join(''),
    steps: options.steps,
    onFault: (error) => log.error({ error, module: 'audit' }, 'the compliance log has a fault'),
  })
  shutdown.add('audit', () => audit.close())
  metrics.gauge('audit', 'waiting', 'Entries of the compliance log that are not in its tree yet', () => audit.waiting())
  metrics.gauge('audit', 'stopped', '1 when nothing is put into the compliance log any more', () =>
    audit.stopped === undefined ? 0 : 1,
  )
  metrics.gauge(
    'audit',
    'changed_auditors',
    'Auditors whose entry in auditors.json is not as it was admitted',
    () => audit.changedAuditors,
  )
  await audit.configured(fieldsOf(config))
  const faultsOf = (module: string) => {
    const ours = log.child({ module })
    const told = openFaultLog((fields, message) => ours.error(fields, message))
    return (error: unknown, where: string) => told(where, { error, operation: where }, 'a fault inside')
  }
  const hub = openHub({
    ...{ database, bus, crypto, mls, networks: reachableOver },
    provider: config.provider.domain,
    providerKeyPair: { privateKey: secrets.providerKey, publicKey: crypto.publicKeyOf(secrets.providerKey) },
    subjectKey: crypto.hkdfSha256(secrets.providerKey, new Uint8Array(), subjectKeyLabel, 32),
    settings: {
      retentionMs,
      // As long as the entry that it belongs to.
      idempotencyMs: retentionMs,
      roomLeaves: config.limits.roomMembers,
      requestMessages: config.limits.requestMessages,
      strangersPerHour: config.limits.strangersPerHour,
      guests: config.guests.links !== false,
      inviteMs: config.guests.linkDays * day,
      guestIdleMs: config.guests.idleDays * day,
      inviteMostMs: config.guests.longestDays * day,
      guestIdleMostMs: config.guests.longestDays * day,
    },
    metrics: metrics.counters('hub', hubCounters),
    onFault: faultsOf('hub'),
    audit,
    ...(options.steps ? { steps: options.steps } : {}),
  })
  shutdown.add('hub', () => hub.close())
  const gateway = openGateway({
    ...{ hub, crypto },
    verifyToken: (token) => tokens.verifier.verify(token),
    settings: { strangerRequestsPerMinute: config.limits.strangersPerNetwork },
    metrics: metrics.counters('messenger', gatewayCounters),
    onFault: faultsOf('messenger'),
    conduct: audit,
    timers: metrics.timers('messenger', gatewayTimers),
    ...(options.gateway ? { settings: options.gateway } : {}),
  })
  metrics.gauge(
    'messenger',
    'open_connections',
    'Connections that are open; the edge is one, with all its devices',
    () => gateway.connections,
  )

  const edge = await composeEdge(surroundings, { metrics, database, gateway, tokens, mls })
  // Twice: before the server when all runs, and in any case.
  const drainEdge = once(async () => edge?.drain())
  shutdown.add('edge', drainEdge)

  const dependencies: Dependency[] = [{ name: 'database', needed: true, check: () => database.query('select 1') }]
  dependencies.push({ name: 'compliance-log', needed: false, check: async () => stoppedBy(audit.stopped) })
  const homeserver = config.matrix?.homeserverUrl
  if (homeserver) dependencies.push({ name: 'homeserver', needed: false, check: () => answers(homeserver) })
  const health = openHealth(dependencies)
  healthGauges(health, metrics)

  const app = new Hono()
  app.notFound((c) => c.json({ error: 'not found' }, 404))
  // Hono's own would print the error, message and all.
  app.onError((error, c) => {
    log.error({ error }, 'a request failed')
    return c.json({ error: 'internal error' }, 500)
  })
  app.route('/', health.routes)
  app.get('/metrics', async (c) => c.body(await metrics.render(), 200, { 'content-type': metrics.contentType }))
  if (tokens.trial) app.route('/', trialIssuerRoutes(tokens.trial))
  app.route('/', audit.routes)
  const { domain } = config.provider
  const trial = tokens.trial !== undefined
  const pages = openPages({
    crypto,
    provider: domain,
    providerKey: secrets.providerKey,
    trial,
    directory: options.pages,
  })
  if (pages) app.route('/', pages)
  else log.warn({}, 'the pages for browsers are not built: links for guests open nothing')
  if (edge) app.route('/', edge.routes)
  const networks = openNetworks({ crypto })
  const pageRates = openRates(pagesPerMinute / 60, pagesPerMinute, Date.now)
  const server = await openWebServer({
    ...{ app, host: config.listen.host, port: config.listen.port, proxy: config.listen.proxy ?? false },
    connect: (pipe, address) => gateway.connect(pipe, networks.nameOf(address)),
    admit: (path, address) => (forStrangers.test(path) ? pageRates.take(networks.nameOf(address)) : 0),
    frameBytes: defaultGatewaySettings.frameBytes,
    ...config.limits,
  })
  const operator = await openOperatorSocket(
    join(config.dataDirectory, operatorSocketFile),
    new Hono()
      .route('/', audit.operatorRoutes)
      .route('/', statusRoutes({ health, metrics }))
      .route('/', backupRoutes(database)),
  )
  if (operator) shutdown.add('operator socket', () => operator.close())
  else log.warn({ code: 'operator-socket' }, 'no socket for commands: its path is too long')
  if (operator?.listens === false)
    log.info({ code: 'operator-socket' }, 'another process has the socket for commands: it is taken when that one ends')
  shutdown.add('server', (deadline) => server.close(deadline))
  shutdown.add('gateway', () => gateway.drain())
  // Before the gateway goes: the edge is one of its clients, and finishes what it has under way.
  shutdown.add('edge', drainEdge)
  shutdown.add('health', () => {
    health.draining()
    server.stopAccepting()
  })
  await edge?.start()
  health.started()
  log.info({ port: server.port }, 'ready')
  return { url: server.url }
}

/** The values of a configuration by path. */
function fieldsOf(config: Config): Map<string, unknown> {
  const valueAt = (path: string) =>
    path.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], config)
  return new Map(configFields().map(({ path }) => [path, valueAt(path)]))
}

interface EdgeParts {
  readonly metrics: Metrics
  readonly database: Database
  readonly gateway: Gateway
  readonly tokens: Tokens
  readonly mls: EdgeOptions['mls']
}

/** The edge towards Matrix: an ordinary client of the gateway, over a pipe inside this process. */
async function composeEdge(
  { config, secrets, log, shutdown, options }: Surroundings,
  { gateway, tokens, ...rest }: EdgeParts,
): Promise<Edge | undefined> {
  const { matrix, provider } = config
  if (!matrix || !secrets.matrix) return undefined
  const connection = connect(async () => {
    const [ours, theirs] = inProcessPipe()
    gateway.connect(theirs)
    return ours
  })
  shutdown.add('edge connection', () => connection.close())
  return openEdge({
    ...rest,
    connection,
    log: log.child({ module: 'edge' }),
    sealer: createSealer(nodeCrypto, secrets.sealingKeys),
    crypto: nodeCrypto,
    provider: provider.domain,
    operator: provider.domain,
    ...(provider.name === undefined ? {} : { networkName: provider.name }),
    tokenFor: ({ subject, network, operator }) => tokens.edge.issue({ sub: subject, kind: 'edge', network, operator }),
    homeserver: {
      url: matrix.homeserverUrl.replace(/\/+$/, ''),
      domain: matrix.domain,
      ...secrets.matrix,
      appserviceId: matrix.registrationId,
      botLocalpart: matrix.botLocalpart,
      userPrefix: matrix.ghostPrefix,
    },
    ...(options.steps ? { steps: options.steps } : {}),
  })
}

/** Fails with the code that says why the compliance log does not go on. */
function stoppedBy(reason: Error | undefined): void {
  if (reason) throw reason
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work()
    return running
  }
}

async function answers(homeserverUrl: string): Promise<boolean> {
  const response = await fetch(new URL('/_matrix/client/versions', homeserverUrl))
  await response.body?.cancel()
  return response.ok
}
