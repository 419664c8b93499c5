import { type Crypto, fromUtf8, toBase64Url } from '../../crypto/index.ts'
import {
  type Checkpoint,
  keyFor,
  LogError,
  type LogPolicy,
  type NoteVerifier,
  openTiles,
  type ReadFile,
  readVerifiedRange,
  toBase64,
} from '../log/index.ts'
import { readEntry } from './facets.ts'

// The logs of a service by years (docs/auditing.md, "A log for each year"): the last entry of one names the next, whose first
// entry says what that one held. Whoever has proven both entries has proven that one follows the other.

const nameForm = /^(.+?)(?:\/(\d{4}))?$/

/** The name of the first log of a service, and the year that a name has. */
export function partsOf(origin: string): { base: string; label: string } {
  const [, base = '', label = ''] = nameForm.exec(origin) ?? []
  return { base, label }
}

/** The same keys and witnesses, for another year's log. */
export function trustFor(crypto: Crypto, trust: NoteVerifier | LogPolicy, origin: string): LogPolicy {
  const policy: LogPolicy = 'logs' in trust ? trust : { logs: [trust], witnesses: [], witnessed: () => true }
  const own = policy.logs.filter(({ name }) => partsOf(name).base === partsOf(origin).base)
  const logs = new Map(own.map((key) => [toBase64Url(key.publicKey), keyFor(crypto, key, origin)]))
  return { ...policy, logs: [...logs.values()] }
}

export interface YearLog {
  readonly origin: string
  readonly read: ReadFile
  readonly trust: LogPolicy
  /** The log before it, as it was proven to have ended; undefined of the one that reading begins with. */
  readonly previous: Checkpoint | undefined
}

export interface FollowOptions {
  readonly read: ReadFile
  readonly trust: NoteVerifier | LogPolicy
  /** Given each log, the oldest first. @returns its checkpoint, which it has verified */
  onLog(log: YearLog): Promise<Checkpoint>
}

/**
 * Reads the log that lies there, and those of the years after it, which lie below the first one. That each follows the one
 * before is proven.
 *
 * @returns their checkpoints, the oldest first
 * @throws LogError inconsistent, and whatever `onLog` throws
 */
export async function followYears(crypto: Crypto, { read, trust, onLog }: FollowOptions): Promise<Checkpoint[]> {
  const note = await read('checkpoint')
  if (!note) throw new LogError('unreadable', 'there is no log: it has no checkpoint')
  const [stated = ''] = fromUtf8(note.subarray(0, 1024)).split('\n')
  const keys = 'logs' in trust ? trust.logs : [trust]
  // Of a stranger's log, the one that was asked for is what the checkpoint is held against.
  const first = keys.some(({ name }) => partsOf(name).base === partsOf(stated).base) ? stated : keys[0]!.name
  const all: Checkpoint[] = []
  let log: YearLog | undefined = { origin: first, read, trust: trustFor(crypto, trust, first), previous: undefined }
  while (log) {
    const checkpoint = await onLog(log)
    const tiles = openTiles(crypto, log.read, checkpoint.size)
    const entryAt = async (index: number) => {
      const [body] = await readVerifiedRange(crypto, { tiles, tree: checkpoint }, { first: index, end: index + 1 })
      return readEntry(body!)
    }
    if (log.previous) checkOpening(await entryAt(0), log.previous)
    all.push(checkpoint)
    log =
      checkpoint.size === 0
        ? undefined
        : await nextAfter(crypto, log, { last: await entryAt(checkpoint.size - 1), checkpoint, read, trust })
  }
  return all
}

/** @throws LogError inconsistent */
function checkOpening(entry: Readonly<Record<string, unknown>>, { origin, size, root }: Checkpoint): void {
  const follows = entry.previous === origin && entry.size === size && entry.root === toBase64(root)
  if (entry.type === 'log.opened' && follows) return
  throw new LogError('inconsistent', `its first entry does not say what ${origin} held when it ended`, {
    ...{ first: 0, last: 0 },
  })
}

interface Ended {
  readonly last: Readonly<Record<string, unknown>>
  readonly checkpoint: Checkpoint
  readonly read: ReadFile
  readonly trust: NoteVerifier | LogPolicy
}

async function nextAfter(
  crypto: Crypto,
  log: YearLog,
  { last, checkpoint, read, trust }: Ended,
): Promise<YearLog | undefined> {
  if (last.type !== 'log.closed') return undefined
  const { base, label } = partsOf(String(last.next))
  const here = partsOf(log.origin)
  const at = { first: checkpoint.size - 1, last: checkpoint.size - 1 }
  if (base !== here.base || label <= here.label)
    throw new LogError('inconsistent', 'its last entry names no later log of this service', at)
  const below: ReadFile = (path) => read(`${label}/${path}`)
  // A year's log alone, or one that has ended a moment ago.
  if (!(await below('checkpoint'))) return undefined
  const origin = String(last.next)
  return { origin, read: below, trust: trustFor(crypto, trust, origin), previous: checkpoint }
}
