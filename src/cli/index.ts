/**
 * The command line: serve, registration, check, status, backup, restore, audit, auditor, pages, help. It reads arguments, calls what does the work, prints, and gives the
 * exit code. It decides nothing that the service would have to know.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import {
  appserviceUrl,
  type Config,
  ConfigError,
  configFields,
  type LoadedConfig,
  loadConfig,
  lookAtSecrets,
  matrixTokens,
} from '../config/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { defaultRegistration, homeserverSwitches, registrationFile } from '../edge/matrix/registration.ts'
import { readArguments, refuseSurplus, type Values } from './arguments.ts'
import { manageAuditors, printAuditKey, verifyAuditLog } from './audit.ts'
import { eraseSubject } from './audit-erase.ts'
import { clockInterop } from './audit-interop.ts'
import { mapSubject } from './audit-map.ts'
import { proveAuditEntry, readAuditLog, verifyAuditProof } from './audit-reading.ts'
import { backup, restore } from './backup.ts'
import { checkSurroundings, type Finding, printFinding } from './check/index.ts'
import { help } from './help.ts'
import { printPagesKey, verifyServedPages } from './pages.ts'
import { printStatus } from './status.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

export type { Terminal }

/** Runs one command. @returns the exit code */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  let parsed: ReturnType<typeof readArguments>
  try {
    parsed = readArguments(argv)
  } catch (error) {
    terminal.err(`${(error as Error).message}\nRun silta help to see what can be written.\n`)
    return exit.unusable
  }
  const { values, positionals } = parsed
  const [command = 'help', topic, ...more] = positionals
  if (values.help) return printHelp(command, terminal)
  try {
    refuseSurplus(parsed)
    switch (command) {
      case 'help':
        return printHelp(topic, terminal)
      case 'version':
        terminal.out(`${version()}\n`)
        return exit.well
      case 'serve': {
        // Only here: what it imports takes a second, which the other commands need not wait for.
        const { serve } = await import('./serve.ts')
        return await serve(load(values.config, terminal), terminal.err)
      }
      case 'registration':
        return registration(load(values.config, terminal), values.output, terminal)
      case 'check':
        return await check(load(values.config, terminal), terminal)
      case 'backup':
        return await backup(load(values.config, terminal).config, topic, terminal)
      case 'restore':
        return await restore(load(values.config, terminal).config, topic, terminal)
      case 'status':
        return await printStatus(load(values.config, terminal).config, { json: values.json ?? false }, terminal)
      case 'audit':
        return await audit([topic, ...more], values, terminal)
      case 'pages':
        if (topic === 'key') return printPagesKey(load(values.config, terminal).config, terminal)
        if (topic !== 'verify') throw new Unusable('silta pages needs a command: verify URL, or key')
        return await verifyServedPages({ ...values, url: more[0] }, terminal)
      case 'auditor':
        return await manageAuditors(() => load(values.config, terminal).config, [topic, ...more], values, terminal)
      default:
        terminal.err(`There is no command ${command}.\n\n${help(undefined, describeFields)}`)
        return exit.unusable
    }
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof Unusable)) throw error
    terminal.err(`${error.message}\n`)
    return exit.unusable
  }
}

async function audit(
  [command, ...more]: readonly (string | undefined)[],
  values: Values,
  terminal: Terminal,
): Promise<number> {
  const given = { ...values, tokenFile: values['token-file'] }
  switch (command) {
    case 'key':
      return printAuditKey(load(values.config, terminal).config, terminal)
    case 'verify':
      return given.proof === undefined ? verifyAuditLog(given, terminal) : verifyAuditProof(given, terminal)
    case 'entries':
    case 'export':
      return readAuditLog(given, command, terminal)
    case 'proof':
      return proveAuditEntry(given, terminal)
    case 'erase':
      return eraseSubject(load(values.config, terminal).config, more[0], terminal)
    case 'interop':
      return clockInterop(load(values.config, terminal).config, more, values, terminal)
    case 'map':
      return mapSubject(load(values.config, terminal).config, more, given.tokenFile, terminal)
    default:
      throw new Unusable('silta audit needs a command: verify, entries, proof, export, key, erase, map or interop')
  }
}

function load(file: string | undefined, terminal: Terminal): LoadedConfig {
  const loaded = loadConfig({ file, env: terminal.env })
  for (const warning of loaded.warnings) terminal.err(`Warning: ${warning}\n`)
  return loaded
}

function printHelp(topic: string | undefined, terminal: Terminal): number {
  const text = help(topic, describeFields)
  if (text === undefined) terminal.err(`There is no help about ${topic}.\n\n${help(undefined, describeFields)}`)
  else terminal.out(text)
  return text === undefined ? exit.unusable : exit.well
}

function describeFields(): string {
  return configFields()
    .map(({ path, variable, about }) => `  ${path}  (${variable})\n${wrap(about ?? '', 92, '      ')}\n`)
    .join('')
}

function wrap(text: string, width: number, indent: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + word.length >= width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => indent + line).join('\n')
}

function registration({ config, file: source }: LoadedConfig, output: string | undefined, terminal: Terminal): number {
  const { matrix: tokens, made } = matrixTokens(config, nodeCrypto)
  for (const path of made) terminal.err(`Made ${path}\n`)
  if (!config.matrix || !tokens) {
    terminal.err(
      `${source ?? 'The configuration'} has no matrix part, so there is nothing to register. See silta help config.\n`,
    )
    return exit.unusable
  }
  const file = registrationFile({
    ...defaultRegistration,
    ...tokens,
    id: config.matrix.registrationId,
    url: appserviceUrl(config),
    domain: config.matrix.domain,
    botLocalpart: config.matrix.botLocalpart,
    userPrefix: config.matrix.ghostPrefix,
  })
  const yaml = stringify(file)
  if (output === undefined) terminal.out(yaml)
  else writeFileSync(output, yaml, { mode: 0o600 })
  const switches = Object.entries(homeserverSwitches).map(([name, value]) => `  ${name}: ${value}`)
  terminal.err(`${output === undefined ? '' : `Wrote ${output}. `}Name this file under app_service_config_files in homeserver.yaml, and set there

experimental_features:
${switches.join('\n')}

Restart the homeserver, then run silta check.\n`)
  return exit.well
}

async function check({ config, file }: LoadedConfig, terminal: Terminal): Promise<number> {
  const secrets = lookAtSecrets(config, nodeCrypto)
  const tell = (finding: Finding) => terminal.out(`${printFinding(finding)}\n`)
  tell({ about: 'configuration', state: 'ok', said: `${file ?? 'from the environment'}${describeKind(config)}.` })
  const findings: Finding[] = []
  await checkSurroundings({ config, secrets }, (finding) => {
    findings.push(finding)
    tell(finding)
  })
  const count = findings.filter((finding) => finding.state === 'wrong').length
  terminal.out(count === 0 ? '\nNothing is wrong.\n' : `\n${count} ${count === 1 ? 'thing is' : 'things are'} wrong.\n`)
  return count === 0 ? exit.well : exit.failed
}

function describeKind(config: Config): string {
  return config.production ? ' (production)' : ' (for trying: production is not set)'
}

/** The manifest lies beside the production bundle, and two folders above this file in a checkout. */
function version(): string {
  const places = ['./package.json', '../../package.json'].map((path) => new URL(path, import.meta.url))
  const manifest = places.find((place) => existsSync(place))
  return manifest ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version : 'unknown'
}
