// A Synapse of our own on this machine: for `npm start` without a configured homeserver, and for the tests.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { homeserverSwitches } from '../../src/edge/matrix/registration.ts'
import { ensurePython } from './python.ts'

const version = '1.163.2'

/** @returns the Python that has Synapse. @throws PartMissing */
export function ensureSynapse(print: (line: string) => void): Promise<string> {
  return ensurePython(
    { folder: 'synapse', requirement: `matrix-synapse==${version}`, title: `the Matrix homeserver Synapse ${version}` },
    print,
  )
}

export interface SynapseOptions {
  /** From `ensureSynapse`. */
  readonly python: string
  /** Its data and configuration; created when missing, kept for the next start. */
  readonly folder: string
  /** Port on 127.0.0.1. */
  readonly port: number
  /** Server name in Matrix ids. It must stay what it was at the first start. */
  readonly domain: string
  /** Appservice registrations, as objects. */
  readonly registrations: readonly object[]
  /** Takes the rate limits out of the way, for tests. */
  readonly unlimited?: boolean
  /** More keys of homeserver.yaml. */
  readonly more?: Readonly<Record<string, unknown>>
}

export interface Synapse {
  /** Base URL of the Client-Server API. */
  readonly url: string
  readonly domain: string
  readonly pid: number
  /**
   * Registers a user through the shared secret.
   * @returns whether it is new; one that exists keeps its password
   */
  registerUser(name: string, password: string, options?: { admin?: boolean }): Promise<boolean>
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>
  /** Ends it in order; after `graceMs` by force. */
  stop(graceMs?: number): Promise<void>
}

/** A first start creates the schema: about ten seconds, more on a busy machine. */
const START_MS = 120_000
const LOOK_MS = 100

/**
 * Ends with whoever started it (Linux), so that a kill -9 of ours leaves no orphan, then becomes Synapse.
 * 1 is PR_SET_PDEATHSIG, 15 SIGTERM.
 */
const program = `
import runpy, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
except Exception:
    pass
sys.argv[0] = "synapse"
runpy.run_module("synapse.app.homeserver", run_name="__main__")
`

/** @throws Error with the end of Synapse's log when it does not come up */
export async function startSynapse(options: SynapseOptions): Promise<Synapse> {
  const { folder, port, python, domain } = options
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const secrets = secretsOf(folder)
  const configuration = join(folder, 'homeserver.yaml')
  writeFileSync(configuration, stringify(configurationOf(options, secrets)), { mode: 0o600 })
  const url = `http://127.0.0.1:${port}`
  const log = createWriteStream(join(folder, 'homeserver.log'), { flags: 'a' })
  await once(log, 'open')
  const child = spawn(python, ['-c', program, '-c', configuration], {
    cwd: folder,
    stdio: ['ignore', log, log],
    // In a group of its own a Ctrl-C does not reach it before what depends on it has ended.
    detached: true,
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  void ended.then(() => process.off('exit', killWithUs))
  await untilReady(url, child, folder)
  return {
    url,
    domain,
    pid: child.pid!,
    ended,
    registerUser: (name, password, { admin = false } = {}) =>
      register(url, secrets.registration, name, password, admin),
    async stop(graceMs = 10_000) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await ended
      clearTimeout(timer)
    },
  }
}

async function untilReady(url: string, child: ChildProcess, folder: string): Promise<void> {
  for (const until = Date.now() + START_MS; Date.now() < until; await sleep(LOOK_MS)) {
    if (child.exitCode !== null || child.signalCode !== null) break
    const answer = await fetch(`${url}/_matrix/client/versions`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok) return
  }
  child.kill('SIGKILL')
  const log = readFileSync(join(folder, 'homeserver.log'), 'utf8')
  throw new Error(`Synapse did not start:\n${log.trimEnd().split('\n').slice(-15).join('\n')}`)
}

interface Secrets {
  readonly registration: string
  readonly macaroon: string
  readonly form: string
}

function secretsOf(folder: string): Secrets {
  const file = join(folder, 'secrets.json')
  if (!existsSync(file)) {
    const secret = () => randomBytes(24).toString('base64url')
    const secrets: Secrets = { registration: secret(), macaroon: secret(), form: secret() }
    writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 })
    const seed = randomBytes(32).toString('base64').replace(/=+$/, '')
    writeFileSync(join(folder, 'signing.key'), `ed25519 a_silta ${seed}\n`, { mode: 0o600 })
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}

function configurationOf(options: SynapseOptions, secrets: Secrets): Record<string, unknown> {
  const { folder, port, domain, registrations, unlimited, more } = options
  const files = registrations.map((registration, index) => {
    const file = join(folder, `registration-${index}.yaml`)
    writeFileSync(file, stringify(registration), { mode: 0o600 })
    return file
  })
  const logging = join(folder, 'log.yaml')
  writeFileSync(logging, stringify(loggingToConsole))
  const fast = { per_second: 10_000, burst_count: 10_000 }
  return {
    server_name: domain,
    public_baseurl: `http://127.0.0.1:${port}/`,
    pid_file: join(folder, 'homeserver.pid'),
    log_config: logging,
    signing_key_path: join(folder, 'signing.key'),
    media_store_path: join(folder, 'media'),
    database: { name: 'sqlite3', args: { database: join(folder, 'homeserver.db') } },
    listeners: [
      {
        port,
        bind_addresses: ['127.0.0.1'],
        type: 'http',
        tls: false,
        resources: [{ names: ['client'], compress: false }],
      },
    ],
    app_service_config_files: files,
    registration_shared_secret: secrets.registration,
    macaroon_secret_key: secrets.macaroon,
    form_secret: secrets.form,
    experimental_features: homeserverSwitches,
    // It talks to nobody else.
    federation_domain_whitelist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    report_stats: false,
    ...(unlimited
      ? {
          rc_message: fast,
          rc_registration: fast,
          rc_login: { address: fast, account: fast, failed_attempts: fast },
          rc_joins: { local: fast, remote: fast },
          rc_joins_per_room: fast,
          rc_invites: { per_room: fast, per_user: fast, per_issuer: fast },
          rc_admin_redaction: fast,
          rc_room_creation: fast,
          rc_key_requests: fast,
          rc_presence: { per_user: fast },
          rc_delayed_event_mgmt: fast,
        }
      : {}),
    ...more,
  }
}

const loggingToConsole = {
  version: 1,
  formatters: { short: { format: '%(asctime)s %(levelname)s %(name)s %(message)s' } },
  handlers: { console: { class: 'logging.StreamHandler', formatter: 'short' } },
  root: { level: 'WARNING', handlers: ['console'] },
}

/** Synapse's own way for those who know the secret (POST /_synapse/admin/v1/register). */
async function register(
  url: string,
  secret: string,
  username: string,
  password: string,
  admin: boolean,
): Promise<boolean> {
  const path = `${url}/_synapse/admin/v1/register`
  const { nonce } = (await (await fetch(path)).json()) as { nonce: string }
  const parts = [nonce, username, password, admin ? 'admin' : 'notadmin']
  const mac = createHmac('sha1', secret).update(parts.join('\0')).digest('hex')
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ nonce, username, password, admin, mac }),
  })
  const { errcode } = (await answer.json()) as { errcode?: string }
  if (!answer.ok && errcode !== 'M_USER_IN_USE') throw new Error(`Synapse did not register a user: ${errcode}`)
  return answer.ok
}
