import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Crypto, fromBase64Url, toBase64Url } from '../crypto/index.ts'
import { ConfigError, type ConfigProblem } from './errors.ts'
import type { ConfigFile } from './schema.ts'

/** What must never be logged, shown or sent: from the configuration, from files, or generated. */
export interface Secrets {
  readonly databaseUrl: string | undefined
  /** 32 bytes each; the first seals, all open. */
  readonly sealingKeys: readonly Uint8Array[]
  /** Ed25519 seed of the provider key, 32 bytes. */
  readonly providerKey: Uint8Array
  /** Ed25519 seed of the key that signs the compliance log, 32 bytes. */
  readonly auditKey: Uint8Array
  /** Ed25519 seed of the trial issuer, 32 bytes; undefined when it is off. */
  readonly trialIssuerKey: Uint8Array | undefined
  readonly matrix: { readonly asToken: string; readonly hsToken: string } | undefined
}

/** Whether the built-in issuer is on: unless it was turned off or this is production. */
export function trialIssuerIsOn(config: ConfigFile): boolean {
  return !config.production && config.tokens.trial !== false
}

/**
 * Reads the secrets that the configuration names. What it does not name is generated once, into
 * `{dataDirectory}/secrets`, readable by its owner only (except in production, where the configuration must name keys).
 *
 * @throws ConfigError
 */
export function readSecrets(config: ConfigFile, crypto: Crypto): Secrets {
  const problems: ConfigProblem[] = []
  const folder = join(config.dataDirectory, 'secrets')
  const instead = (path: string): string => {
    if (path === 'database.urlFile') return '; without it an embedded database is used.'
    return config.production ? '.' : '; leave it out to have one generated.'
  }
  const named = (path: string, file: string): string | undefined => {
    try {
      return readFileSync(file, 'utf8').trim()
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read'
      problems.push({
        path,
        problem: `names a file that ${reason}.`,
        advice: `A file that is named must be there${instead(path)}`,
      })
      return undefined
    }
  }
  const kept = (name: string): string => {
    const file = join(folder, name)
    if (!existsSync(file)) keep(folder, file, toBase64Url(crypto.randomBytes(32)))
    return readFileSync(file, 'utf8').trim()
  }
  const key = (path: string, text: string | undefined): Uint8Array => {
    const bytes = text === undefined ? new Uint8Array(32) : readKey(text)
    if (!bytes) problems.push({ path, problem: 'does not hold 32 bytes in base64url, base64 or hexadecimal.' })
    return bytes ?? new Uint8Array(32)
  }
  const token = (path: string, value: string | undefined, file: string | undefined, name: string): string => {
    const text = value ?? (file === undefined ? kept(name) : named(`${path}File`, file)) ?? ''
    if (value === undefined && file !== undefined && text !== '' && !/^[\x21-\x7e]{16,512}$/.test(text))
      problems.push({ path: `${path}File`, problem: 'must hold 16 or more visible characters.' })
    return text
  }

  const { database, sealing, provider, audit, matrix } = config
  const auditText = audit.keyFile === undefined ? kept('audit.key') : named('audit.keyFile', audit.keyFile)
  const sealingText = sealing.keyFile === undefined ? kept('sealing.key') : named('sealing.keyFile', sealing.keyFile)
  const providerText =
    provider.keyFile === undefined ? kept('provider.key') : named('provider.keyFile', provider.keyFile)
  const secrets: Secrets = {
    databaseUrl:
      database.url ?? (database.urlFile === undefined ? undefined : named('database.urlFile', database.urlFile)),
    sealingKeys: (sealingText ?? '')
      .split(/\s+/)
      .map((line) => key('sealing.keyFile', sealingText === undefined ? undefined : line)),
    providerKey: key('provider.keyFile', providerText),
    auditKey: key('audit.keyFile', auditText),
    trialIssuerKey: trialIssuerIsOn(config) ? key('tokens.trial', kept('trial-issuer.key')) : undefined,
    matrix: matrix && {
      asToken: token('matrix.asToken', matrix.asToken, matrix.asTokenFile, 'matrix-as-token'),
      hsToken: token('matrix.hsToken', matrix.hsToken, matrix.hsTokenFile, 'matrix-hs-token'),
    },
  }
  if (problems.length > 0) throw new ConfigError('The configuration', problems)
  return secrets
}

/**
 * Written beside its place and linked into it: a start that is cut short leaves no half key, and of two processes that
 * start at once one makes the key and the other finds it.
 */
function keep(folder: string, file: string, text: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  const beside = `${file}.${process.pid}`
  writeFileSync(beside, `${text}\n`, { mode: 0o600, flush: true })
  try {
    linkSync(beside, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(beside)
  }
}

function readKey(text: string): Uint8Array | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return new Uint8Array(Buffer.from(text, 'hex'))
  const url = text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
  try {
    const bytes = fromBase64Url(url)
    return bytes.length === 32 ? bytes : undefined
  } catch {
    return undefined
  }
}
