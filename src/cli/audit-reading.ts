import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import {
  decodeProof,
  type EntryFilter,
  exportFormats,
  followYears,
  head,
  lineOf,
  partsOf,
  proofOf,
  readEntries,
  readFilter,
  trustFor,
  verifyProof,
} from '../audit/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { type LogArguments, openLogArguments, progressOn, readFileOf, readKey, withVerdict } from './log-arguments.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

export interface ReadingArguments extends LogArguments {
  readonly first?: string | undefined
  readonly last?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly type?: string | undefined
  readonly provider?: string | undefined
  readonly pseudonym?: string | undefined
  readonly outcome?: string | undefined
  readonly format?: string | undefined
  readonly output?: string | undefined
  readonly index?: string | undefined
  readonly proof?: string | undefined
}

/**
 * `silta audit entries` and `silta audit export`: entries that were looked for, each proven against the signed checkpoint
 * before it is written. A file is there only when all of it held. @returns the exit code
 */
export async function readAuditLog(
  given: ReadingArguments,
  command: 'entries' | 'export',
  terminal: Terminal,
): Promise<number> {
  const format = exportFormats.find((each) => each === (given.format ?? (command === 'entries' ? 'ndjson' : undefined)))
  if (!format) throw new Unusable(`silta audit ${command} needs --format, one of ${exportFormats.join(', ')}`)
  const [first, last] = [wholeNumber(given.first, '--first'), wholeNumber(given.last, '--last')]
  if (first !== undefined && last !== undefined && first > last)
    throw new Unusable('--first must not lie behind --last')
  const filter = filterOf(given)
  const target = openTarget(given.output, terminal)
  const work = async () => {
    target.write(head[format])
    const log = openLogArguments(given, command)
    await followYears(nodeCrypto, {
      read: log.read,
      trust: log.verifier,
      async onLog({ origin, read: files, trust, previous }) {
        // Indices are those of the log that was named: the ones of later years have their own.
        if (previous && (first !== undefined || last !== undefined))
          throw new Unusable(
            `--first and --last are of one log: name it, as --log ${given.log}/${partsOf(origin).label}`,
          )
        const { checkpoint, read, found } = await readEntries(nodeCrypto, {
          ...{ read: files, verifier: trust, first, last, filter },
          onProgress: progressOn(terminal),
          onEntry: (entry) => target.write(lineOf(format, entry)),
        })
        terminal.err(
          `${found} of ${read} entries fit; all ${read} are in the log of ${checkpoint.size} entries that ${checkpoint.origin} has signed.\n`,
        )
        return checkpoint
      },
    })
    target.finish()
    return exit.well
  }
  try {
    return await withVerdict(terminal, work, terminal.err)
  } finally {
    target.abandon()
  }
}

/** `silta audit proof --index N`: the proof of one entry, to keep or to hand on. @returns the exit code */
export async function proveAuditEntry(given: ReadingArguments, terminal: Terminal): Promise<number> {
  const index = wholeNumber(given.index, '--index')
  if (index === undefined) throw new Unusable('silta audit proof needs --index N')
  const target = openTarget(given.output, terminal)
  const work = async () => {
    const { read, verifier } = openLogArguments(given, 'proof')
    const note = await read('checkpoint')
    const trust = note ? trustFor(nodeCrypto, verifier, originOfNote(note)) : verifier
    const proof = await proofOf(nodeCrypto, { read, verifier: trust, index })
    target.write(new TextDecoder().decode(proof))
    target.finish()
    return exit.well
  }
  try {
    return await withVerdict(terminal, work, terminal.err)
  } finally {
    target.abandon()
  }
}

/** `silta audit verify --proof FILE`: one entry, by its proof and the log's key alone. @returns the exit code */
export async function verifyAuditProof(
  { proof, key, ...more }: ReadingArguments & { readonly earlier?: string | undefined },
  terminal: Terminal,
): Promise<number> {
  const beside = [more.log, more.policy, more.tokenFile, more.earlier].some((each) => each !== undefined)
  if (proof === undefined || key === undefined || beside)
    throw new Unusable('silta audit verify --proof FILE needs --key KEY|FILE, and takes nothing else')
  return withVerdict(
    terminal,
    async () => {
      const read = decodeProof(new Uint8Array(readFileOf(proof)))
      const { origin, size } = verifyProof(
        nodeCrypto,
        read,
        trustFor(nodeCrypto, readKey(key), originOfNote(read.checkpoint)),
      )
      terminal.err(`The proof holds: entry ${read.index} of ${size} that ${origin} has signed.\n`)
      terminal.out(lineOf('ndjson', { log: origin, index: read.index, body: read.entry }))
      return exit.well
    },
    terminal.err,
    'proof',
  )
}

/** The name of the log that a checkpoint says it is of. */
const originOfNote = (note: Uint8Array) => new TextDecoder().decode(note).split('\n')[0] ?? ''

function filterOf(given: ReadingArguments): EntryFilter {
  const filter = readFilter(given)
  if ('wrong' in filter) throw new Unusable(`--${filter.wrong} must be ${filter.form}`)
  if (filter.from !== undefined && filter.to !== undefined && filter.from >= filter.to)
    throw new Unusable('--from must lie before --to')
  return filter
}

function wholeNumber(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) throw new Unusable(`${option} must be a whole number`)
  return Number(text)
}

/** Standard output, or a file that takes its place only when it is whole. */
function openTarget(file: string | undefined, terminal: Terminal) {
  if (file === undefined) return { write: terminal.out, finish: () => undefined, abandon: () => undefined }
  const beside = `${file}.part`
  let descriptor: number | undefined
  try {
    // What is in a log is for auditors, not for everybody on the machine.
    descriptor = openSync(beside, 'w', 0o600)
  } catch (error) {
    throw new Unusable(`${file} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
  const close = () => {
    if (descriptor === undefined) return
    closeSync(descriptor)
    descriptor = undefined
  }
  return {
    write: (text: string) => void writeSync(descriptor!, text),
    finish() {
      fsyncSync(descriptor!)
      close()
      renameSync(beside, file)
    },
    abandon() {
      if (descriptor === undefined) return
      close()
      rmSync(beside, { force: true })
    },
  }
}
