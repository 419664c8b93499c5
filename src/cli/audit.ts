import { join } from 'node:path'
import {
  addAuditor,
  auditorsFile,
  encodeVerifier,
  followYears,
  LogError,
  logSigners,
  originOf,
  readAuditors,
  revokeAuditor,
  type Scope,
  scopes,
  usualScopes,
  verifyLog,
} from '../audit/index.ts'
import { type Config, lookAtSecrets } from '../config/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { askOperator, operatorSocketFile } from '../ops/index.ts'
import { type LogArguments, openLogArguments, progressOn, readEarlier, withVerdict } from './log-arguments.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

export interface AuditArguments extends LogArguments {
  /** A checkpoint kept from an earlier time. */
  readonly earlier?: string | undefined
}

/** `silta audit verify`: a verdict in plain words, and where the first bad entry is. @returns the exit code */
export async function verifyAuditLog(given: AuditArguments, terminal: Terminal): Promise<number> {
  return withVerdict(terminal, async () => {
    const { read, verifier } = openLogArguments(given, 'verify')
    const earlier = given.earlier === undefined ? undefined : readEarlier(given.earlier, verifier)
    let continued = false
    await followYears(nodeCrypto, {
      read,
      trust: verifier,
      async onLog(log) {
        const kept = earlier?.origin === log.origin ? earlier.note : undefined
        if (kept) continued = true
        const onProgress = progressOn(terminal)
        const checkpoint = await verifyLog(nodeCrypto, { ...log, verifier: log.trust, earlier: kept, onProgress })
        const { origin, size, root } = checkpoint
        const follows = log.previous ? ` It follows ${log.previous.origin}.` : ''
        const continues = kept ? ' It continues the earlier checkpoint.' : ''
        const told = `The log holds: ${size} entries of ${origin}, root ${Buffer.from(root).toString('base64')}.`
        terminal.out(`${told}${follows}${continues}\n`)
        return checkpoint
      },
    })
    if (earlier && !continued)
      throw new LogError(
        'inconsistent',
        `the earlier checkpoint is of ${earlier.origin}, which is not among these logs`,
      )
    return exit.well
  })
}

/** `silta audit key`: what an auditor is given, once, and keeps. */
export function printAuditKey(config: Config, terminal: Terminal): number {
  const { auditKeys } = lookAtSecrets(config, nodeCrypto)
  if (auditKeys === undefined) throw new Unusable('There is no key yet: the first start of the service makes it')
  const origin = originOf(config.provider.domain)
  const { signCommand, signKey } = config.audit
  for (const { verifier } of logSigners(nodeCrypto, { origin, keys: auditKeys, signCommand, signKey }))
    terminal.out(`${encodeVerifier(verifier)}\n`)
  return exit.well
}

const dayMs = 24 * 3600 * 1000
/** How long a credential is good, in days, unless it is told. */
const usualDays = '90'

function scopesOf(names: string): readonly Scope[] {
  const given = names.split(',').map((name) => {
    const scope = scopes.find((each) => each === name)
    if (!scope) throw new Unusable(`--scope must be of ${scopes.join(', ')}`)
    return scope
  })
  return [...new Set(given)]
}

/** `silta auditor add | list | revoke ID`: who may read the log. The running service follows at once. */
export async function manageAuditors(
  open: () => Config,
  [command, id]: readonly (string | undefined)[],
  { days = usualDays, scope }: { days?: string | undefined; scope?: string | undefined },
  terminal: Terminal,
): Promise<number> {
  const until = (at: number) => new Date(at).toISOString().slice(0, 10)
  const fileOf = (config: Config) => join(config.dataDirectory, auditorsFile)
  switch (command) {
    case 'add': {
      if (!/^[1-9]\d{0,3}$/.test(days)) throw new Unusable('--days must be a whole number from 1 to 9999')
      const granted = scope === undefined ? usualScopes : scopesOf(scope)
      const { auditor, credential } = addAuditor(nodeCrypto, fileOf(open()), {
        forMs: Number(days) * dayMs,
        scopes: granted,
      })
      terminal.out(`${credential}\n`)
      terminal.err(`Auditor ${auditor.id}, until ${until(auditor.notAfter)}. The credential is not shown again.\n`)
      return exit.well
    }
    case 'list': {
      const config = open()
      // Of a service that does not run nobody knows what it has admitted.
      const socket = join(config.dataDirectory, operatorSocketFile)
      const changed = (await askOperator(socket, { path: '/audit/auditors', body: {} }))?.body.changed
      for (const auditor of readAuditors(fileOf(config))) {
        const line = `${auditor.id}  until ${until(auditor.notAfter)}  ${(auditor.scopes ?? usualScopes).join()}`
        const expired = auditor.notAfter <= Date.now() ? '  EXPIRED' : ''
        const refused = Array.isArray(changed) && changed.includes(auditor.id)
        terminal.out(
          `${line}${expired}${refused ? '  REFUSED: changed since it was admitted; revoke it and add a new one' : ''}\n`,
        )
      }
      return exit.well
    }
    case 'revoke':
      if (id === undefined) throw new Unusable('silta auditor revoke needs an ID; silta auditor list shows them')
      if (!revokeAuditor(fileOf(open()), id)) {
        terminal.err('There is no auditor of that id; silta auditor list shows them.\n')
        return exit.failed
      }
      terminal.out(`Auditor ${id} is revoked: the credential opens nothing any more.\n`)
      return exit.well
    default:
      throw new Unusable('silta auditor needs a command: add, list or revoke ID. See silta help auditor')
  }
}
