import { existsSync, readFileSync } from 'node:fs'
import { LogError, parseVerifier, readLogAt, verifyLog } from '../audit/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

export interface AuditArguments {
  /** A URL or a folder. */
  readonly log?: string | undefined
  /** The log's key, `name+hash+key`, or a file with it. */
  readonly key?: string | undefined
  /** A checkpoint kept from an earlier time. */
  readonly earlier?: string | undefined
  readonly tokenFile?: string | undefined
}

/** `silta audit verify`: a verdict in plain words, and where the first bad entry is. @returns the exit code */
export async function verifyAuditLog(given: AuditArguments, terminal: Terminal): Promise<number> {
  if (given.log === undefined || given.key === undefined)
    throw new Unusable('silta audit verify needs --log URL|FOLDER and --key KEY|FILE')
  const key = existsSync(given.key) ? readText(given.key) : given.key
  try {
    let told = Date.now()
    const { origin, size, root } = await verifyLog(nodeCrypto, {
      read: readLogAt(given.log, given.tokenFile === undefined ? undefined : readText(given.tokenFile)),
      verifier: parseVerifier(nodeCrypto, key),
      earlier: given.earlier === undefined ? undefined : new Uint8Array(readFileOf(given.earlier)),
      onProgress(done, all) {
        if (Date.now() - told < progressMs) return
        told = Date.now()
        terminal.err(`${done} of ${all} entries\n`)
      },
    })
    const continues = given.earlier === undefined ? '' : ' It continues the earlier checkpoint.'
    terminal.out(
      `The log holds: ${size} entries of ${origin}, root ${Buffer.from(root).toString('base64')}.${continues}\n`,
    )
    return exit.well
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    const { first, last } = error.entries ?? {}
    const where = first === undefined ? '' : first === last ? ` Entry ${first}.` : ` Entries ${first} to ${last}.`
    terminal.out(`The log does NOT hold (${error.code}): ${error.message}.${where}\n`)
    return exit.failed
  }
}

/** Often enough to see that it goes on. */
const progressMs = 2000

function readText(file: string): string {
  return readFileOf(file).toString('utf8').trim()
}

function readFileOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Unusable(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}
