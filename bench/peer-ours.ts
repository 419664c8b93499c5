import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultRegistration, type RegistrationSettings, registrationFile } from '../src/edge/matrix/registration.ts'
import { freePort } from '../test/support/ports.ts'
import { until } from '../test/support/until.ts'
import { type Figures, type Harness, measureRun, samplesOf, samplesPerSecond } from './peer-harness.ts'
import type { HooksOptions } from './peer-hooks-process.ts'
import { cpuOfMs } from './processes.ts'
import { serviceCommand, serviceEnvironment } from './service.ts'

const domain = 'peer.local'
const user = 'bench'
const hooksProgram = fileURLToPath(new URL('./peer-hooks-process.ts', import.meta.url))

/**
 * One run of us under the peer's harness, which knows nothing of it: its homeserver gets our registration, it starts our
 * service where it would start a bridge and measures that process, and a process with the messenger's people is what it
 * takes for the bridge's remote side (`peer-hooks-process.ts`).
 */
export async function runOurs(harness: Harness, databaseUrl: string | undefined): Promise<Figures> {
  const { built, messages } = harness
  const folder = mkdtempSync(join(tmpdir(), 'silta-bench-peer-'))
  await using closing = new AsyncDisposableStack()
  closing.defer(() => rmSync(folder, { recursive: true, force: true }))
  const [stubPort, appservicePort] = [await freePort(), await freePort()]
  const stubUrl = `http://127.0.0.1:${stubPort}`
  const serviceUrl = `http://127.0.0.1:${appservicePort}`
  const token = () => randomBytes(24).toString('base64url')
  const registration: RegistrationSettings = {
    ...defaultRegistration,
    ...{ url: serviceUrl, domain, asToken: token(), hsToken: token() },
  }
  const registrationPath = join(folder, 'registration.yaml')
  writeFileSync(registrationPath, JSON.stringify(registrationFile(registration)))
  const listen = ['-listen', `127.0.0.1:${stubPort}`, '-domain', domain, '-reg', registrationPath]
  const stub = spawn(join(built, 'bin', 'stubhs'), listen, { stdio: ['ignore', 2, 2] })
  closing.defer(ended(stub))
  await until('the homeserver to answer', () =>
    fetch(`${stubUrl}/_matrix/client/versions`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )

  const log = join(folder, 'remote.log')
  const hooks: HooksOptions = {
    service: serviceUrl,
    homeserver: stubUrl,
    asToken: registration.asToken,
    log,
    user: `@${user}:${domain}`,
  }
  const people = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', hooksProgram, JSON.stringify(hooks)],
    {
      stdio: ['ignore', 2, 2, 'ipc'],
      env: { ...process.env, SILTA_PARENT: String(process.pid) },
    },
  )
  closing.defer(ended(people))
  const [hooksUrl] = await Promise.race([once(people, 'message'), once(people, 'close').then(() => [undefined])])
  if (hooksUrl === undefined) throw new Error("the messenger's people did not come")

  const configuration = join(folder, 'mxbench.json')
  writeFileSync(
    configuration,
    JSON.stringify({
      ...{ label: 'silta', hs: stubUrl, domain, user, encrypted: true, hs_pids: [stub.pid] },
      ...{ bridge_cmd: serviceCommand, bridge_dir: folder, log_path: log, out: join(folder, 'out.json') },
      bridge_env: {
        ...serviceEnvironment({ url: stubUrl, registration, appservicePort }, folder, databaseUrl),
        // It is the harness' child: this says whose else's, so that it ends whoever is killed.
        SILTA_PARENT: String(process.pid),
      },
      ...{ bridge_url: hooksUrl, bench_url: hooksUrl, prov_secret: 'none' },
      ...{ phases: ['r2m', 'm2r'], portals: 20, starts: 0, messages },
      ...{ lat_count: samplesOf(messages), lat_rate: samplesPerSecond },
    }),
  )
  return await measureRun(harness, 'ours', {
    command: [join(built, 'bin', 'mxbench'), configuration],
    environment: {},
    devicesCpuMs: () => cpuOfMs(people.pid!),
  })
}

function ended(child: ReturnType<typeof spawn>): () => Promise<void> {
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  return async () => {
    process.off('exit', kill)
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    kill()
    await gone
  }
}
