/**
 * The whole service (`startService`) in a process of its own: it can be killed, at a named step too, and started again on
 * the same data and port.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AuditStep, ErasureStep } from '../../src/audit/index.ts'
import { clientSteps } from '../../src/client/index.ts'
import { type EdgeStep, matrixSteps } from '../../src/edge/index.ts'
import { type HubStep, hubSteps } from '../../src/hub/index.ts'
import { freePort } from './ports.ts'
import type { TestSynapse } from './synapse.ts'

export type ServiceStep = HubStep | EdgeStep | AuditStep | ErasureStep

/** The steps of a message; which way of it each belongs to is for the test. */
export const serviceSteps: readonly ServiceStep[] = [...matrixSteps, ...clientSteps, ...hubSteps]

export interface TestService extends AsyncDisposable {
  readonly url: string
  /** The configured one; the embedded database is in `database` below it. */
  readonly dataDirectory: string
  /** All that its processes have written so far, byte by byte. */
  readonly output: Buffer
  readonly running: boolean
  /** Starts it again after an end. */
  start(): Promise<void>
  /** It will die by SIGKILL when it comes to this step for the n-th time from now on. */
  dieAt(step: ServiceStep, time?: number): Promise<void>
  /** Resolves when the present process has ended, for whatever reason. */
  ended(): Promise<void>
  /** SIGSTOP and SIGCONT: in between it does nothing, and is not gone. */
  pause(): void
  resume(): void
  /** SIGKILL. */
  kill(): Promise<void>
  /** SIGTERM, and SIGKILL after ten seconds. @returns whether it ended in order */
  stop(): Promise<boolean>
}

export interface ServiceOptions {
  /** Without one there is no Matrix. */
  readonly synapse?: Pick<TestSynapse, 'url' | 'registration' | 'appservicePort'>
  /** More of the configuration, as environment variables. */
  readonly environment?: Readonly<Record<string, string>>
  /** Where its folder is made. */
  readonly within?: string
  /** The program to run; today's unless said otherwise. */
  readonly program?: string
}

export type ToService = { readonly dieAt: { step: ServiceStep; after: number } }
export type FromService = { readonly url: string } | { readonly armed: true }

const today = fileURLToPath(new URL('./service-process.ts', import.meta.url))
const stopMs = 10_000

/** Starts it with an empty folder, which goes when it is disposed of: three to five seconds. */
export async function startTestService(options: ServiceOptions): Promise<TestService> {
  const { synapse, environment = {}, within = tmpdir(), program = today } = options
  const dataDirectory = mkdtempSync(join(within, 'silta-service-'))
  const matrix = synapse && {
    SILTA_MATRIX_HOMESERVER_URL: synapse.url,
    SILTA_MATRIX_DOMAIN: synapse.registration.domain,
    SILTA_MATRIX_AS_TOKEN: synapse.registration.asToken,
    SILTA_MATRIX_HS_TOKEN: synapse.registration.hsToken,
  }
  const configuration = {
    SILTA_PROVIDER_DOMAIN: 'messenger.example',
    SILTA_DATA_DIRECTORY: dataDirectory,
    SILTA_LISTEN_PORT: String(synapse?.appservicePort ?? (await freePort())),
    ...matrix,
    SILTA_PARENT: String(process.pid),
    ...environment,
  }
  const written: Buffer[] = []
  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()
  let url = ''
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const killWithUs = () => child?.kill('SIGKILL')
  process.once('exit', killWithUs)

  const start = async () => {
    if (isRunning()) throw new Error('the service is running')
    const begun = written.length
    child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...configuration },
    })
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (bytes: Buffer) => {
        written.push(bytes)
        if (process.env.SILTA_TEST_LOG) process.stderr.write(bytes)
      })
    }
    ended = once(child, 'close').then(() => {})
    const first = await Promise.race([once(child, 'message').then(([message]) => message as FromService), ended])
    if (!first || !('url' in first))
      throw new Error(`the service did not start:\n${Buffer.concat(written.slice(begun)).subarray(-4000)}`)
    url = first.url
  }
  const end = async (signal: NodeJS.Signals) => {
    if (!isRunning()) return child?.exitCode === 0
    child?.kill(signal)
    const timer = setTimeout(killWithUs, stopMs)
    await ended
    clearTimeout(timer)
    return child?.exitCode === 0
  }

  await start()
  return {
    dataDirectory,
    start,
    get url() {
      return url
    },
    get output() {
      return Buffer.concat(written)
    },
    get running() {
      return isRunning()
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async dieAt(step, time = 1) {
      if (!child || !isRunning()) throw new Error('the service is not running')
      const armed = once(child, 'message')
      child.send({ dieAt: { step, after: time } } satisfies ToService)
      await armed
    },
    ended: () => ended,
    async kill() {
      await end('SIGKILL')
    },
    stop: () => end('SIGTERM'),
    async [Symbol.asyncDispose]() {
      await end('SIGTERM')
      process.off('exit', killWithUs)
      rmSync(dataDirectory, { recursive: true, force: true })
    },
  }
}
