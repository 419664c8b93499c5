import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { StubHomeserver } from '../test/support/stub/index.ts'
import type { Stages } from './stages.ts'

export type ToMeter = 'usage' | 'collect' | 'profile' | 'profiled'
export type FromMeter =
  | { readonly url: string; readonly readyMs: number }
  | { readonly cpuMs: number; readonly memory: number; readonly heap?: number }
  | { readonly done: true }
  | { readonly stages: Stages }

/** The whole service in a process of its own, as it runs anywhere, with a meter. */
export interface MeasuredService extends AsyncDisposable {
  readonly url: string
  /** From the beginning of its code to readiness. */
  readonly readyMs: number
  readonly pid: number
  /** CPU used so far in ms, and resident memory in bytes. */
  usage(): Promise<{ cpuMs: number; memory: number }>
  /** Bytes, after everything that can be freed was. */
  memory(): Promise<{ memory: number; heap: number }>
  /** Where the CPU time went while `work` ran. */
  profile(work: () => Promise<void>): Promise<Stages>
  /** SIGTERM, and start again with the same data. */
  restart(): Promise<void>
}

type Beside = Pick<StubHomeserver, 'url' | 'registration' | 'appservicePort'>

const program = fileURLToPath(new URL('./service-process.ts', import.meta.url))
/** The program with its arguments, for whoever starts it. */
export const serviceCommand: readonly string[] = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  '--expose-gc',
  program,
]

/** What the service is told: beside which homeserver it runs, where its data is, and no limits that one rig would meet. */
export function serviceEnvironment(
  { url, registration, appservicePort }: Beside,
  folder: string,
  databaseUrl: string | undefined,
): Record<string, string> {
  return {
    SILTA_PROVIDER_DOMAIN: 'messenger.example',
    SILTA_DATA_DIRECTORY: folder,
    SILTA_LISTEN_PORT: String(appservicePort),
    SILTA_MATRIX_HOMESERVER_URL: url,
    SILTA_MATRIX_DOMAIN: registration.domain,
    SILTA_MATRIX_AS_TOKEN: registration.asToken,
    SILTA_MATRIX_HS_TOKEN: registration.hsToken,
    SILTA_LIMITS_STRANGERS_PER_HOUR: '10000',
    SILTA_LIMITS_CONNECTIONS_PER_ADDRESS: '100000',
    SILTA_LIMITS_STRANGERS_PER_NETWORK: '1000000',
    SILTA_LOG_LEVEL: process.env.SILTA_TEST_LOG ? 'info' : 'error',
    SILTA_PARENT: String(process.pid),
    ...(databaseUrl === undefined ? {} : { SILTA_DATABASE_URL: databaseUrl }),
  }
}

/** `environment`: more of it, for this service. */
export async function startMeasured(
  stub: Beside,
  databaseUrl: string | undefined,
  environment: Readonly<Record<string, string>> = {},
): Promise<MeasuredService> {
  const folder = mkdtempSync(join(tmpdir(), 'silta-bench-'))
  const configuration = { ...serviceEnvironment(stub, folder, databaseUrl), ...environment }
  let child: ChildProcess
  let ended: Promise<unknown>
  let first: { url: string; readyMs: number }
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const start = async () => {
    const [node, ...words] = serviceCommand
    child = spawn(node!, words, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...configuration },
    })
    ended = once(child, 'close')
    const message = await Promise.race([
      once(child, 'message').then(([message]) => message),
      ended.then(() => undefined),
    ])
    if (message === undefined) throw new Error('the service did not start')
    first = message as typeof first
  }
  const ask = async <T>(what: ToMeter): Promise<T> => {
    const answered = once(child, 'message')
    child.send(what)
    return (await answered)[0] as T
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  await start()
  return {
    get url() {
      return first.url
    },
    get readyMs() {
      return first.readyMs
    },
    get pid() {
      return child.pid!
    },
    usage: () => ask('usage'),
    memory: () => ask('collect'),
    async profile(work) {
      await ask('profile')
      await work()
      return (await ask<{ stages: Stages }>('profiled')).stages
    },
    async restart() {
      await stop()
      await start()
    },
    async [Symbol.asyncDispose]() {
      await stop()
      process.off('exit', killWithUs)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
