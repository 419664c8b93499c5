import { existsSync, readFileSync } from 'node:fs'
import { LogError, openEarlier, parsePolicy, parseVerifier, readLogAt, trustFor } from '../audit/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

/** Which log a command is about, and how it is read. */
export interface LogArguments {
  /** A URL or a folder. */
  readonly log?: string | undefined
  /** The log's key, `name+hash+key`, or a file with it. */
  readonly key?: string | undefined
  /** A file with a C2SP tlog-policy: the log's keys, its witnesses, and how many of them are asked for. */
  readonly policy?: string | undefined
  readonly tokenFile?: string | undefined
}

/** Opens the log that was named. @throws Unusable */
export function openLogArguments({ log, key, policy, tokenFile }: LogArguments, command: string) {
  if (log === undefined || (key === undefined) === (policy === undefined))
    throw new Unusable(`silta audit ${command} needs --log URL|FOLDER and either --key KEY|FILE or --policy FILE`)
  return {
    read: readLogAt(log, tokenFile === undefined ? undefined : readCredential(tokenFile)),
    verifier: policy === undefined ? readKey(key!) : readPolicy(policy),
  }
}

function readCredential(file: string): string {
  const credential = readText(file)
  if (/^[\x21-\x7e]+$/.test(credential)) return credential
  throw new Unusable('--token-file cannot be used: it has characters that no credential has')
}

/** A log's key, or the one in a file. @throws Unusable */
export function readKey(given: string) {
  return usable('--key', () => parseVerifier(nodeCrypto, existsSync(given) ? readText(given) : given))
}

const readPolicy = (file: string) =>
  usable('--policy', () => parsePolicy(nodeCrypto, readFileOf(file).toString('utf8')))

/** A checkpoint that was kept from an earlier time, and of which year's log it is. @throws Unusable */
export function readEarlier(file: string, verifier: Parameters<typeof openEarlier>[2]) {
  const note = new Uint8Array(readFileOf(file))
  return usable('--earlier', () => {
    const [stated = ''] = new TextDecoder().decode(note).split('\n')
    const { origin } = openEarlier(nodeCrypto, note, trustFor(nodeCrypto, verifier, stated))
    return { note, origin }
  })
}

/** What the auditor has given is not what a log is judged for. */
function usable<T>(option: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    throw new Unusable(`${option} cannot be used: ${error.message}`)
  }
}

/** Often enough to see that it goes on. */
const progressMs = 2000

export function progressOn(terminal: Terminal): (done: number, of: number) => void {
  let told = Date.now()
  return (done, of) => {
    if (Date.now() - told < progressMs) return
    told = Date.now()
    terminal.err(`${done} of ${of} entries\n`)
  }
}

/**
 * Runs what reads a log, or a proof; of one that does not hold it says why and names the first bad entry. The verdict goes to `say`:
 * to standard error where entries go to standard output. What could not be read gets no verdict.
 *
 * @returns the exit code
 */
export async function withVerdict(
  terminal: Terminal,
  work: () => Promise<number>,
  say: (text: string) => void = terminal.out,
  what: 'log' | 'proof' = 'log',
): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    if (error.code === 'unreadable') {
      terminal.err(`The log could not be read, so there is no verdict: ${error.message}.\n`)
      return exit.unread
    }
    if (error.code === 'no-entry') {
      terminal.err(`Nothing was read: ${error.message}.\n`)
      return exit.unusable
    }
    const { first, last } = error.entries ?? {}
    const which = first === last ? `ntry ${first}` : `ntries ${first} to ${last}`
    // A hash that is wrong does not make the entry wrong that it is of.
    const where = first === undefined ? '' : error.code === 'tile-mismatch' ? ` The hash of e${which}.` : ` E${which}.`
    say(`The ${what} does NOT hold (${error.code}): ${error.message}.${where}\n`)
    return exit.failed
  }
}

function readText(file: string): string {
  return readFileOf(file).toString('utf8').trim()
}

export function readFileOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Unusable(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}
