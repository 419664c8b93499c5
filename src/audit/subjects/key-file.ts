import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Crypto, fromBase64Url, toBase64Url, toHex } from '../../crypto/index.ts'
import { type KeyTree, keyAt, leafOf, newKeyTree, withoutLeaves } from './key-tree.ts'

/**
 * What can be wrong with the file of subjects' keys.
 *
 * - malformed: it cannot be read
 * - other-file: it is not the one that the database was begun with
 * - set-back: it still holds keys that were destroyed: an older copy was put in its place
 */
export type SubjectKeysErrorCode = 'malformed' | 'other-file' | 'set-back'

const meanings: Record<SubjectKeysErrorCode, string> = {
  malformed: 'the file of subjects’ keys cannot be read',
  'other-file':
    'the file of subjects’ keys is not the one that the table of pseudonyms was made with: bring that one back',
  'set-back': 'the file of subjects’ keys is older than the database: keys that were destroyed are in it again',
}

export class SubjectKeysError extends Error {
  override readonly name = 'SubjectKeysError'
  readonly code: SubjectKeysErrorCode

  constructor(code: SubjectKeysErrorCode, options?: ErrorOptions) {
    super(meanings[code], options)
    this.code = code
  }
}

/** The keys under which pseudonyms are sealed, one for each subject. */
export interface SubjectKeys {
  /** Names the file, whatever was destroyed in it. */
  readonly id: string
  /** How many keys were destroyed. */
  readonly destroyed: number
  /** The key of the subject with this digest; undefined when it was destroyed. @throws SubjectKeysError malformed */
  keyOf(digest: Uint8Array): Uint8Array | undefined
  /**
   * Destroys keys for good: when this returns, the file on disk no longer gives them. The bytes that it had are
   * overwritten, as far as a disk does that. One process at a time: the caller holds a lock in the database.
   */
  destroy(digests: readonly Uint8Array[]): void
}

/**
 * The keys in a file, which is made when it is not there. It lies apart from the database and its backups, and is
 * rewritten with each destruction; what another process writes is taken up with the next use.
 */
export function openSubjectKeys(crypto: Crypto, file: string): SubjectKeys {
  let read: { of: string; state: State } | undefined
  const current = (): State => {
    const { ino, mtimeMs, size } = statSync(file)
    const of = `${ino} ${mtimeMs} ${size}`
    if (read?.of !== of) read = { of, state: parse(readFileSync(file, 'utf8')) }
    return read.state
  }
  if (!statSync(file, { throwIfNoEntry: false })) {
    const root = crypto.randomBytes(32)
    create(file, format({ id: toHex(crypto.sha256(root)).slice(0, 16), destroyed: 0, tree: newKeyTree(root) }))
  } else removeLeftOver(file)
  current()
  return {
    get id() {
      return current().id
    },
    get destroyed() {
      return current().destroyed
    },
    keyOf: (digest) => keyAt(crypto, current().tree, leafOf(digest)),
    destroy(digests) {
      const { id, destroyed, tree } = current()
      const left = [...new Set(digests.map(leafOf))].filter((leaf) => keyAt(crypto, tree, leaf) !== undefined)
      if (left.length === 0) return
      replace(file, format({ id, destroyed: destroyed + left.length, tree: withoutLeaves(crypto, tree, left) }))
    },
  }
}

interface State {
  readonly id: string
  readonly destroyed: number
  readonly tree: KeyTree
}

const head = 'silta subject keys v1'

/** The head, then a line for each seed: the way to its node, and the seed. */
function format({ id, destroyed, tree }: State): string {
  const seeds = [...tree.seeds].map(([way, seed]) => `${way} ${toBase64Url(seed)}\n`)
  return `${head} ${id} ${destroyed}\n${seeds.join('')}end\n`
}

function parse(text: string): State {
  const [first = '', ...lines] = text.split('\n')
  const [, id, destroyed] = new RegExp(`^${head} ([0-9a-f]{16}) (\\d{1,15})$`).exec(first) ?? []
  // Without its end it was cut off: keys that are missing would pass for destroyed ones.
  if (id === undefined || lines.at(-1) !== '' || lines.at(-2) !== 'end') throw new SubjectKeysError('malformed')
  const seeds = lines.slice(0, -2).map((line): [string, Uint8Array] => {
    const [, way, seed] = /^([01]{0,56}) ([A-Za-z0-9_-]{43})$/.exec(line) ?? []
    if (way === undefined || seed === undefined) throw new SubjectKeysError('malformed')
    return [way, fromBase64Url(seed)]
  })
  return { id, destroyed: Number(destroyed), tree: { seeds: new Map(seeds) } }
}

/** Of two processes that start at once one makes the file and the other finds it. */
function create(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = writeBeside(file, text)
  try {
    linkSync(beside, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(beside)
  }
  syncFolder(dirname(file))
}

function replace(file: string, text: string): void {
  removeLeftOver(file)
  const old = openSync(file, 'r+')
  try {
    renameSync(writeBeside(file, text), file)
    syncFolder(dirname(file))
    // Its name is gone, its bytes are not.
    writeSync(old, new Uint8Array(fstatSync(old).size), 0, undefined, 0)
    fsyncSync(old)
  } finally {
    closeSync(old)
  }
}

function writeBeside(file: string, text: string): string {
  const beside = `${file}${besideMark}${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    shred(beside)
    throw error
  }
  return beside
}

const besideMark = '.new-'

/**
 * What a write that was cut short has left: seeds from which keys that are destroyed later could be made again.
 */
function removeLeftOver(file: string): void {
  const folder = dirname(file)
  for (const name of readdirSync(folder))
    if (name.startsWith(`${basename(file)}${besideMark}`)) shred(join(folder, name))
}

function shred(path: string): void {
  try {
    const left = openSync(path, 'r+')
    try {
      writeSync(left, new Uint8Array(fstatSync(left).size), 0, undefined, 0)
      fsyncSync(left)
    } finally {
      closeSync(left)
    }
    rmSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
