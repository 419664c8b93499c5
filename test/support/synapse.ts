import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/support/command.ts'
import { pythonMissing } from '../../scripts/support/python.ts'
import { ensureSynapse, type Synapse, startSynapse } from '../../scripts/support/synapse.ts'
import { defaultRegistration, type RegistrationSettings, registrationFile } from '../../src/edge/matrix/registration.ts'
import { freePort } from './ports.ts'

/** A Synapse of its own for one test file, with our appservice registered. */
export interface TestSynapse extends Synapse, AsyncDisposable {
  readonly registration: RegistrationSettings
  /** Where it expects the appservice, on 127.0.0.1. */
  readonly appservicePort: number
  /** Its database and its log. */
  readonly folder: string
  /** SIGKILL; what it has stays. */
  interrupt(): Promise<void>
  /** Starts it again at the same address. */
  resume(): Promise<void>
  /** SIGSTOP and SIGCONT: in between it takes connections and answers nothing. */
  pause(): void
  continue(): void
}

/** Why tests against Synapse are skipped here; false when they run (in CI always, and they fail when it is missing). */
export async function synapseMissing(): Promise<string | false> {
  if (process.env.CI || existsSync(join(root, '.cache', 'synapse', 'silta-installed'))) return false
  return pythonMissing()
}

/**
 * Starts Synapse in a temporary folder on free ports: seven to eleven seconds. Installs it first when it is missing.
 *
 * @param more keys of homeserver.yaml
 */
export async function testSynapse(more: Readonly<Record<string, unknown>> = {}): Promise<TestSynapse> {
  const python = await ensureSynapse((line) => console.error(line))
  const folder = mkdtempSync(join(tmpdir(), 'silta-synapse-'))
  const [port, appservicePort] = await Promise.all([freePort(), freePort()])
  const token = () => randomBytes(24).toString('base64url')
  const registration: RegistrationSettings = {
    ...defaultRegistration,
    url: `http://127.0.0.1:${appservicePort}`,
    domain: 'hs.test',
    asToken: token(),
    hsToken: token(),
  }
  const start = () =>
    startSynapse({
      python,
      folder,
      port,
      domain: registration.domain,
      registrations: [registrationFile(registration)],
      unlimited: true,
      more,
    })
  let synapse = await start()
  const stop = async () => {
    await synapse.stop(2000)
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    url: synapse.url,
    domain: synapse.domain,
    get pid() {
      return synapse.pid
    },
    get ended() {
      return synapse.ended
    },
    registerUser: (...given) => synapse.registerUser(...given),
    registration,
    appservicePort,
    folder,
    async interrupt() {
      process.kill(synapse.pid, 'SIGKILL')
      await synapse.ended
    },
    async resume() {
      synapse = await start()
    },
    pause: () => void process.kill(synapse.pid, 'SIGSTOP'),
    continue: () => void process.kill(synapse.pid, 'SIGCONT'),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
