import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { type Config, loadConfig } from '../../src/config/index.ts'
import { root } from '../support/command.ts'
import { dataFolder } from './data.ts'

/** Names of the trial set-up. They stand in certificates and Matrix ids, so they stay what they were at the first start. */
const providerDomain = 'silta.localhost'
const homeserverDomain = 'matrix.localhost'

export interface Configuration {
  config: Config
  /** What the service is started with. */
  file: string
  environment: Record<string, string>
  /** Nobody has configured a homeserver, so one runs here. */
  ownHomeserver: boolean
}

/** The file that a person wrote for this checkout, if there is one. */
function writtenFile(): string | undefined {
  if (process.env.SILTA_CONFIG) return process.env.SILTA_CONFIG
  const usual = join(root, 'silta.yaml')
  return existsSync(usual) ? usual : undefined
}

/** The port that the configuration asks for. @throws ConfigError */
export function wishedPort(): number | undefined {
  const file = writtenFile()
  return file ? loadConfig({ file }).config.listen.port : undefined
}

/**
 * The configuration to run with: the person's own, or data/silta.yaml, which is written anew at each start and holds
 * everything, so that `silta` commands given it see what runs. Where no homeserver is configured, the local one is filled
 * in.
 *
 * @param ports what was chosen; a free port may be another than the one that was configured
 * @throws ConfigError
 */
export function configure(ports: { service: number; homeserver?: number }): Configuration {
  const written = writtenFile()
  const ownHomeserver = loadConfig({ file: written ?? writeTrialFile({}) }).config.matrix === undefined
  const listen = { port: ports.service }
  const matrix =
    ownHomeserver && ports.homeserver !== undefined
      ? { homeserverUrl: `http://127.0.0.1:${ports.homeserver}`, domain: homeserverDomain }
      : undefined
  const file = written ?? writeTrialFile({ listen, ...(matrix ? { matrix } : {}) })
  const environment: Record<string, string> = { SILTA_LISTEN_PORT: String(listen.port) }
  if (matrix) {
    environment.SILTA_MATRIX_HOMESERVER_URL = matrix.homeserverUrl
    environment.SILTA_MATRIX_DOMAIN = matrix.domain
  }
  const { config } = loadConfig({ file, env: { ...process.env, ...environment } })
  return { config, file, environment, ownHomeserver }
}

function writeTrialFile(parts: object): string {
  const file = dataFolder('silta.yaml')
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const settings = { provider: { domain: providerDomain }, dataDirectory: dataFolder('service'), ...parts }
  writeFileSync(
    file,
    `# Written by npm start. To configure it yourself, put a silta.yaml beside README.md.\n${stringify(settings)}`,
  )
  return file
}
