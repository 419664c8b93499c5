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
}

/** Why tests against Synapse are skipped here; false when they run (in CI always, and they fail when it is missing). */
export async function synapseMissing(): Promise<string | false> {
  if (process.env.CI || existsSync(join(root, '.cache', 'synapse', 'silta-installed'))) return false
  return pythonMissing()
}

/** Starts Synapse in a temporary folder on free ports: seven to eleven seconds. Installs it first when it is missing. */
export async function testSynapse(): Promise<TestSynapse> {
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
  const synapse = await startSynapse({
    python,
    folder,
    port,
    domain: registration.domain,
    registrations: [registrationFile(registration)],
    unlimited: true,
  })
  const stop = async () => {
    await synapse.stop(2000)
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...synapse, registration, appservicePort, folder, stop, [Symbol.asyncDispose]: stop }
}
