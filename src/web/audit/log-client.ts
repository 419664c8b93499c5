import {
  type Checkpoint,
  encodeProof,
  fromBase64,
  keyFor,
  LogError,
  leafHash,
  type NoteVerifier,
  openCheckpoint,
  openTiles,
  parseVerifier,
  proveConsistency,
  proveInclusion,
  readVerifiedLeaves,
  readVerifiedRange,
  type TileReader,
  tileWidth,
  verifyConsistency,
  verifyInclusion,
} from '../../audit/log/index.ts'
import { type EntryJson, partsOf, readEntry } from '../../audit/reading/index.ts'
import { equalBytes, utf8 } from '../../crypto/index.ts'
import { webCrypto } from '../../crypto/web.ts'
import { checkAnswer, type Question, splitLine } from './answer.ts'

/** Why the service has not answered, or was not asked. */
export type Refusal = 'key' | 'characters' | 'credential' | 'changed' | 'scope' | 'busy' | 'offline' | 'fault'

export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly why: Refusal

  constructor(why: Refusal) {
    super(why)
    this.why = why
  }
}

/** A checkpoint that this browser has seen and verified. */
export interface KeptCheckpoint {
  /** As it was served, in base64 characters of a note: text. */
  readonly note: string
  readonly at: number
}

/** Where the last checkpoint is kept, so that the next visit finds out a log that was rewritten. */
export interface CheckpointStore {
  read(origin: string): KeptCheckpoint | undefined
  write(origin: string, kept: KeptCheckpoint): void
}

export interface VerifiedCheckpoint extends Checkpoint {
  readonly note: Uint8Array
  /** The one kept from an earlier time, which this one continues. */
  readonly earlier: { readonly size: number; readonly at: number } | undefined
}

export interface ProvenEntry {
  /** The name of its log. */
  readonly log: string
  readonly index: number
  readonly entry: EntryJson
  readonly text: string
  /** Size of the tree that it was proven to be in. */
  readonly provenIn: number
}

export interface EntriesPage {
  readonly entries: readonly ProvenEntry[]
  readonly next: string | undefined
}

/** Entries that lie together come out of the same tiles; more than some hundred at once would make the page wait. */
const pageSize = '50'
/** Each entry may need a tile of its own, which is a request: as many as a browser has under way to one host. */
const provenAtOnce = 6
/** Longer than the service takes for any answer. */
const timeoutMs = 30_000

/** A log of a year as it is, or was when it ended, and what was proven of it. */
interface ProvenTree {
  readonly head: Checkpoint
  readonly note: Uint8Array
  readonly tiles: TileReader
  /** Leaf hashes by tile, proven to be in the tree: entries that lie together are proven by one tile. */
  readonly leaves: Map<number, Promise<readonly Uint8Array[]>>
}

/**
 * Reads a log and believes nothing of it: signature, consistency with what was kept, and the place of each entry are
 * checked here. @throws RefusedError when the key is none, or the credential cannot be one
 */
export function openLogClient(options: { key: string; credential: string; store: CheckpointStore; base: string }) {
  const { credential, store, base } = options
  const given = readKey(options.key.trim())
  // No header can hold others, and fetch would fail as if the service were not there.
  if (!/^[\x21-\x7e]+$/.test(credential)) throw new RefusedError('characters')
  /** The log that entries go into now: that of the key, or of a later year. */
  let current: VerifiedCheckpoint | undefined
  /** Of each year, as far as it was needed; all follow from the current one. */
  let trees = new Map<string, ProvenTree>()
  let served: Uint8Array | undefined
  let evidenceOf = given.name

  const ask = async (path: string): Promise<Response> => {
    const response = await fetch(`${base}/${path}`, {
      headers: { authorization: `Bearer ${credential}` },
      ...{ credentials: 'omit', redirect: 'error', cache: path.startsWith('tile/') ? 'default' : 'no-store' },
      signal: AbortSignal.timeout(timeoutMs),
    }).catch(() => {
      throw new RefusedError('offline')
    })
    if (response.ok || response.status === 404) return response
    const { code } = (await response.json().catch(() => ({}))) as { code?: string }
    if (code === 'credential-changed') throw new RefusedError('changed')
    const known: Record<number, Refusal> = { 401: 'credential', 403: 'scope', 429: 'busy' }
    throw new RefusedError(known[response.status] ?? 'fault')
  }
  const read = async (path: string): Promise<Uint8Array | undefined> => {
    const response = await ask(path)
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : undefined
  }

  const filesOf = (origin: string) => {
    const { label } = partsOf(origin)
    return label === '' ? read : (path: string) => read(`${label}/${path}`)
  }

  /** Holds a log against what this browser has seen of it, and keeps it from now on. @throws LogError */
  const compare = async (tree: ProvenTree, note: Uint8Array): Promise<VerifiedCheckpoint['earlier']> => {
    const { origin, size } = tree.head
    const kept = store.read(origin)
    const older = kept && openKept(kept, origin)
    if (older) {
      served = note
      evidenceOf = origin
      if (older.size > size) throw new LogError('inconsistent', 'the log has become shorter')
      const proof = await proveConsistency(tree.tiles, older.size)
      verifyConsistency(webCrypto, proof, { older, newer: tree.head })
    }
    store.write(origin, { note: new TextDecoder().decode(note), at: Date.now() })
    return kept && older && { size: older.size, at: kept.at }
  }

  /** The newest checkpoint, verified, and kept from now on. @throws LogError, RefusedError */
  const refresh = async (): Promise<VerifiedCheckpoint> => {
    // Where the service says that there is none, it is believed no more than with an old checkpoint.
    const list = await ask('logs')
    const { logs = [] } = (list.ok ? await list.json() : {}) as { logs?: { log: string }[] }
    const newest = logs.at(-1)?.log ?? given.name
    const origin = partsOf(newest).base === partsOf(given.name).base ? newest : given.name
    const note = await filesOf(origin)('checkpoint')
    if (!note) throw new LogError('missing', 'there is no checkpoint')
    served = note
    evidenceOf = origin
    const head = openCheckpoint(webCrypto, note, keyFor(webCrypto, given, origin))
    const tree = { head, note, tiles: openTiles(webCrypto, filesOf(origin), head.size), leaves: new Map() }
    const earlier = await compare(tree, note)
    if (trees.size === 0 || current?.origin !== origin || current.size !== head.size) trees = new Map([[origin, tree]])
    current = { ...head, note, earlier: (current?.origin === origin ? current.earlier : undefined) ?? earlier }
    // What was seen of the years before has to be what this one goes on from.
    for (let at: ProvenTree | undefined = tree; at; at = await before(at, (name) => store.read(name) !== undefined));
    return current
  }

  /**
   * The log that one goes on from: its first entry is proven, and says what that held when it ended. The keys of that time
   * are not needed for it.
   */
  const before = async (tree: ProvenTree, wanted: (origin: string) => boolean): Promise<ProvenTree | undefined> => {
    if (partsOf(tree.head.origin).label === '') return undefined
    const [body] = await readVerifiedRange(webCrypto, { tiles: tree.tiles, tree: tree.head }, { first: 0, end: 1 })
    const { type, previous, size, root } = readEntry(body!)
    const hash = typeof root === 'string' ? fromBase64(root) : undefined
    const sound = type === 'log.opened' && typeof previous === 'string' && Number.isSafeInteger(size) && hash
    if (!sound || partsOf(previous).label >= partsOf(tree.head.origin).label)
      throw new LogError('inconsistent', 'a log does not say which one it goes on from')
    if (!wanted(previous)) return undefined
    const known = trees.get(previous)
    if (known) return known
    const head = { origin: previous, size: size as number, root: hash }
    const note = (await filesOf(previous)('checkpoint')) ?? new Uint8Array()
    const [, , stated] = new TextDecoder().decode(note).split('\n')
    if (stated !== root) throw new LogError('inconsistent', 'a log of a year before is not what it was when it ended')
    const found = { head, note, tiles: openTiles(webCrypto, filesOf(previous), head.size), leaves: new Map() }
    if (store.read(previous)) await compare(found, note)
    trees.set(previous, found)
    return found
  }

  /** One that another key has signed is of another log, and says nothing about this one. */
  const openKept = ({ note }: KeptCheckpoint, origin: string): Checkpoint | undefined => {
    try {
      return openCheckpoint(webCrypto, utf8(note), keyFor(webCrypto, given, origin))
    } catch {
      return undefined
    }
  }

  /** The tree to prove an entry in: the log may have grown past the last checkpoint, or be one of a year before. */
  const treeWith = async ({ log, index }: { log: string; index: number }): Promise<ProvenTree> => {
    if (!current || (log === current.origin ? index >= current.size : log > current.origin)) await refresh()
    let tree = trees.get(current!.origin)
    while (tree && tree.head.origin !== log) tree = await before(tree, () => true)
    if (!tree) throw new LogError('malformed', 'an answer is not of this log')
    return tree
  }
  const proveOne = async ({ head, tiles, leaves }: ProvenTree, index: number, body: Uint8Array) => {
    const of = Math.floor(index / tileWidth)
    const known = leaves.get(of) ?? readVerifiedLeaves(webCrypto, { tiles, tree: head }, of)
    leaves.set(of, known)
    // What could not be read is read again the next time.
    known.catch(() => leaves.delete(of))
    const leaf = (await known)[index % tileWidth]
    if (!leaf || !equalBytes(leaf, leafHash(webCrypto, body)))
      throw new LogError('bad-proof', 'an entry is not in the log', { first: index, last: index })
  }

  return {
    get origin() {
      return current?.origin ?? given.name
    },
    refresh,

    /** What shows somebody else that two checkpoints contradict each other: both, as they were served. */
    evidence: (): string => `${store.read(evidenceOf)?.note ?? ''}\n${new TextDecoder().decode(served)}`,

    /**
     * A page of entries, each proven; `after` is the last one of the page before. An answer with one twice, or with one that
     * was not asked for, would be added up wrongly: nothing of it is taken.
     *
     * @throws LogError, RefusedError
     */
    async find(question: Question, cursor?: string, after?: ProvenEntry): Promise<EntriesPage> {
      const query = new URLSearchParams({ limit: pageSize, order: 'newest', ...question, format: 'ndjson' })
      if (cursor !== undefined) query.set('cursor', cursor)
      const response = await ask(`v1/entries?${query}`)
      const lines = (await response.text()).split('\n').filter(Boolean)
      const placed = lines.map(splitLine)
      checkAnswer(placed, question, { newest: query.get('order') === 'newest', after })
      const entries: ProvenEntry[] = []
      for (let at = 0; at < placed.length; at += provenAtOnce) {
        const some = placed.slice(at, at + provenAtOnce)
        // One after the other, since each may look for a newer checkpoint or an older log.
        const within: ProvenTree[] = []
        for (const each of some) within.push(await treeWith(each))
        const together = some.map(async ({ log, index, text }, i) => {
          const body = utf8(text)
          await proveOne(within[i]!, index, body)
          return { log, index, text, entry: readEntry(body), provenIn: within[i]!.head.size }
        })
        entries.push(...(await Promise.all(together)))
      }
      const link = /[?&]cursor=([\w-]+)[^>]*>; rel="next"/.exec(response.headers.get('link') ?? '')
      return { entries, next: link?.[1] }
    },

    /** The proof of an entry, to keep. */
    async proof({ log, index, text }: ProvenEntry): Promise<Uint8Array<ArrayBuffer>> {
      const entry = utf8(text)
      const { head, note, tiles } = await treeWith({ log, index })
      const hashes = await proveInclusion(tiles, index)
      verifyInclusion(webCrypto, hashes, { leaf: leafHash(webCrypto, entry), index, tree: head })
      return new Uint8Array(encodeProof({ index, entry, hashes, checkpoint: note }))
    },

    /** Everything that was looked for, as a file. */
    async exported(question: Question, format: 'csv' | 'ocsf' | 'ndjson'): Promise<Blob> {
      return (await ask(`v1/export?${new URLSearchParams({ ...question, format })}`)).blob()
    },

    async schema(): Promise<unknown> {
      return (await ask('v1/schema')).json()
    },
  }
}

/** What somebody has mistyped says nothing about the log. @throws RefusedError */
function readKey(key: string): NoteVerifier {
  try {
    return parseVerifier(webCrypto, key)
  } catch (error) {
    throw error instanceof LogError ? new RefusedError('key') : error
  }
}

export type LogClient = ReturnType<typeof openLogClient>
