import {
  type Checkpoint,
  encodeProof,
  LogError,
  leafHash,
  type NoteVerifier,
  openCheckpoint,
  openTiles,
  parseVerifier,
  proveConsistency,
  proveInclusion,
  readVerifiedLeaves,
  type TileReader,
  tileWidth,
  verifyConsistency,
  verifyInclusion,
} from '../../audit/log/index.ts'
import { type EntryFilter, type EntryJson, facetsOf, matches, readEntry } from '../../audit/reading/index.ts'
import { equalBytes, utf8 } from '../../crypto/index.ts'
import { webCrypto } from '../../crypto/web.ts'

/** Why the service has not answered. */
export type Refusal = 'credential' | 'scope' | 'busy' | 'offline' | 'fault'

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

export type Question = Readonly<Record<string, string>>

/** Entries that lie together come out of the same tiles; more than some hundred at once would make the page wait. */
const pageSize = '50'
/** Each entry may need a tile of its own, which is a request: as many as a browser has under way to one host. */
const provenAtOnce = 6
/** Longer than the service takes for any answer. */
const timeoutMs = 30_000

/**
 * Reads a log and believes nothing of it: signature, consistency with what was kept, and the place of each entry are
 * checked here. @throws LogError when the key is none
 */
export function openLogClient(options: { key: string; credential: string; store: CheckpointStore; base: string }) {
  const { credential, store, base } = options
  const verifier: NoteVerifier = parseVerifier(webCrypto, options.key.trim())
  let current: VerifiedCheckpoint | undefined
  let tiles: TileReader | undefined
  /** Leaf hashes by tile, proven to be in the current tree: entries that lie together are proven by one tile. */
  let proven = new Map<number, Promise<readonly Uint8Array[]>>()
  let served: Uint8Array | undefined

  const ask = async (path: string): Promise<Response> => {
    const response = await fetch(`${base}/${path}`, {
      headers: { authorization: `Bearer ${credential}` },
      ...{ credentials: 'omit', redirect: 'error', cache: path.startsWith('tile/') ? 'default' : 'no-store' },
      signal: AbortSignal.timeout(timeoutMs),
    }).catch(() => {
      throw new RefusedError('offline')
    })
    if (response.ok || response.status === 404) return response
    const known: Record<number, Refusal> = { 401: 'credential', 403: 'scope', 429: 'busy' }
    throw new RefusedError(known[response.status] ?? 'fault')
  }
  const read = async (path: string): Promise<Uint8Array | undefined> => {
    const response = await ask(path)
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : undefined
  }

  /** The newest checkpoint, verified, and kept from now on. @throws LogError, RefusedError */
  const refresh = async (): Promise<VerifiedCheckpoint> => {
    const note = await read('checkpoint')
    if (!note) throw new LogError('missing', 'there is no checkpoint')
    served = note
    const checkpoint = openCheckpoint(webCrypto, note, verifier)
    const newer = openTiles(webCrypto, read, checkpoint.size)
    const kept = store.read(verifier.name)
    const older = kept && openKept(kept)
    if (older && older.size > checkpoint.size) throw new LogError('inconsistent', 'the log has become shorter')
    if (older) {
      const proof = await proveConsistency(newer, older.size)
      verifyConsistency(webCrypto, proof, { older, newer: checkpoint })
    }
    store.write(verifier.name, { note: new TextDecoder().decode(note), at: Date.now() })
    const earlier = current?.earlier ?? (kept && older && { size: older.size, at: kept.at })
    current = { ...checkpoint, note, earlier }
    tiles = newer
    proven = new Map()
    return current
  }

  /** One that another key has signed is of another log, and says nothing about this one. */
  const openKept = ({ note }: KeptCheckpoint): Checkpoint | undefined => {
    try {
      return openCheckpoint(webCrypto, utf8(note), verifier)
    } catch {
      return undefined
    }
  }

  /** The checkpoint to prove an entry against: the log may have grown past the last one. */
  const treeWith = async (index: number) => {
    if (!current || index >= current.size) await refresh()
    return { tree: current!, reader: tiles!, leavesOf: proven }
  }
  const proveOne = async (
    { tree, reader, leavesOf }: Awaited<ReturnType<typeof treeWith>>,
    index: number,
    body: Uint8Array,
  ) => {
    const of = Math.floor(index / tileWidth)
    const known = leavesOf.get(of) ?? readVerifiedLeaves(webCrypto, { tiles: reader, tree }, of)
    leavesOf.set(of, known)
    // What could not be read is read again the next time.
    known.catch(() => leavesOf.delete(of))
    const leaf = (await known)[index % tileWidth]
    if (!leaf || !equalBytes(leaf, leafHash(webCrypto, body)))
      throw new LogError('bad-proof', 'an entry is not in the log', { first: index, last: index })
  }

  return {
    origin: verifier.name,
    refresh,

    /** What shows somebody else that two checkpoints contradict each other: both, as they were served. */
    evidence: (): string => `${store.read(verifier.name)?.note ?? ''}\n${new TextDecoder().decode(served)}`,

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
      const given = lines.map((line) => splitLine(line, verifier.name))
      checkOrder(given, query.get('order') === 'newest', after)
      const filter = filterOf(question)
      for (const { text } of given)
        if (!matches(facetsOf(readEntry(utf8(text))), filter))
          throw new LogError('malformed', 'an answer has an entry that was not asked for')
      const within = await treeWith(Math.max(0, ...given.map(({ index }) => index)))
      const entries: ProvenEntry[] = []
      for (let at = 0; at < given.length; at += provenAtOnce) {
        const together = given.slice(at, at + provenAtOnce).map(async ({ index, text }) => {
          const body = utf8(text)
          await proveOne(within, index, body)
          return { index, text, entry: readEntry(body), provenIn: within.tree.size }
        })
        entries.push(...(await Promise.all(together)))
      }
      const link = /[?&]cursor=([\w-]+)[^>]*>; rel="next"/.exec(response.headers.get('link') ?? '')
      return { entries, next: link?.[1] }
    },

    /** The proof of an entry, to keep. */
    async proof({ index, text }: ProvenEntry): Promise<Uint8Array<ArrayBuffer>> {
      const entry = utf8(text)
      const within = await treeWith(index)
      const hashes = await proveInclusion(within.reader, index)
      verifyInclusion(webCrypto, hashes, { leaf: leafHash(webCrypto, entry), index, tree: within.tree })
      return new Uint8Array(encodeProof({ index, entry, hashes, checkpoint: within.tree.note }))
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

export type LogClient = ReturnType<typeof openLogClient>

/** The entry stands in its line byte for byte. */
function splitLine(line: string, log: string): { index: number; text: string } {
  const { index } = JSON.parse(line) as { index: unknown }
  const before = `{"log":${JSON.stringify(log)},"index":${index},"entry":`
  if (!Number.isSafeInteger(index) || !line.startsWith(before) || !line.endsWith('}'))
    throw new LogError('malformed', 'an answer is not of this log')
  return { index: index as number, text: line.slice(before.length, -1) }
}

/** Each further on than the one before. @throws LogError malformed */
function checkOrder(given: readonly { index: number }[], newest: boolean, after: { index: number } | undefined): void {
  const all = after ? [after, ...given] : given
  for (const [at, { index }] of all.entries())
    if (at > 0 && (newest ? index >= all[at - 1]!.index : index <= all[at - 1]!.index))
      throw new LogError('malformed', 'an answer repeats entries, or has them in another order')
}

function filterOf({ from, to, type, provider, pseudonym, outcome }: Question): EntryFilter {
  const time = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text))
  return { from: time(from), to: time(to), type, provider, pseudonym, outcome }
}
