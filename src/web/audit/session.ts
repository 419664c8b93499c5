import { computed, signal } from '@preact/signals'
import { LogError } from '../../audit/log/index.ts'
import {
  answeredType,
  type ClockedRequest,
  clockOf,
  type ParityFigures,
  type ParitySpan,
  parityOf,
  parityType,
  partsOf,
  requestedType,
} from '../../audit/reading/index.ts'
import type { Question } from './answer.ts'
import {
  type CheckpointStore,
  type KeptCheckpoint,
  type LogClient,
  openLogClient,
  type ProvenEntry,
  RefusedError,
  type VerifiedCheckpoint,
} from './log-client.ts'
import { problemText } from './words.ts'

/** What went wrong, in words; `severe`: the log itself does not hold. */
export interface Problem {
  readonly text: string
  readonly severe: boolean
}

/** The credential is kept as long as the tab, and goes with it. The log's key is public. */
const credentialItem = 'silta audit credential'
const keyItem = 'silta audit key'
const checkpointItem = (origin: string) => `silta audit checkpoint ${origin}`

/** Pages of figures that are read at most: a month of a dozen providers. */
const mostFigurePages = 200
/** A page after which progress is told. */
const figuresAtOnce = '100'

const store: CheckpointStore = {
  read(origin) {
    const text = localStorage.getItem(checkpointItem(origin))
    return text === null ? undefined : (JSON.parse(text) as KeptCheckpoint)
  },
  write: (origin, kept) => localStorage.setItem(checkpointItem(origin), JSON.stringify(kept)),
}

/** What the page knows and does; what is on it follows from the signals. */
export function openSession({ base, host }: { base: string; host: string }) {
  const client = signal<LogClient | undefined>(undefined)
  const checkpoint = signal<VerifiedCheckpoint | undefined>(undefined)
  const problem = signal<Problem | undefined>(undefined)
  const busy = signal(false)
  const question = signal<Question>({})
  const entries = signal<readonly ProvenEntry[]>([])
  const next = signal<string | undefined>(undefined)
  const measured = signal<readonly ProvenEntry[] | undefined>(undefined)
  const requests = signal<readonly ClockedRequest[] | undefined>(undefined)
  /** How many figures are proven so far, while they are read. */
  const proven = signal(0)
  const span = signal<ParitySpan>('day')
  const descriptions = signal<ReadonlyMap<string, string>>(new Map())

  /** One thing at a time; a later one takes the place of one that still runs. */
  let turn = 0
  const during = async (work: (isCurrent: () => boolean) => Promise<void>): Promise<void> => {
    const mine = ++turn
    const isCurrent = () => mine === turn
    busy.value = true
    try {
      await work(isCurrent)
      if (isCurrent()) problem.value = undefined
    } catch (error) {
      if (!isCurrent()) return
      if (error instanceof RefusedError && error.why === 'credential') leave()
      problem.value = { text: problemText(error), severe: error instanceof LogError && client.value !== undefined }
    } finally {
      if (isCurrent()) busy.value = false
    }
  }

  const load = (more = false) =>
    during(async (isCurrent) => {
      const log = client.value
      if (!log) return
      const page = await (more ? log.find(question.value, next.value, entries.value.at(-1)) : log.find(question.value))
      if (!isCurrent()) return
      entries.value = more ? [...entries.value, ...page.entries] : page.entries
      next.value = page.next
    })

  const open = (credential: string, key: string) =>
    during(async (isCurrent) => {
      const log = openLogClient({ key, credential: credential.trim(), store, base })
      const verified = await openVerified(log)
      const schema = await log.schema()
      if (!isCurrent()) return
      descriptions.value = readDescriptions(schema)
      localStorage.setItem(keyItem, key.trim())
      sessionStorage.setItem(credentialItem, credential.trim())
      checkpoint.value = verified
      // Last: from here on the views ask for what they show.
      client.value = log
    })
  const openVerified = async (log: LogClient) => {
    try {
      return await log.refresh()
    } catch (error) {
      // A log by this key that does not hold is shown as that, with what proves it.
      if (error instanceof LogError && error.code !== 'unsigned') client.value = log
      throw error
    }
  }

  const leave = () => {
    sessionStorage.removeItem(credentialItem)
    for (const each of [client, checkpoint, measured, requests]) each.value = undefined
    entries.value = []
  }

  const kept = sessionStorage.getItem(credentialItem)
  if (kept) void open(kept, localStorage.getItem(keyItem) ?? '')

  return {
    host,
    ...{ client, checkpoint, problem, busy, question, entries, next, requests, proven, span, descriptions },
    keptKey: localStorage.getItem(keyItem) ?? '',
    figures: computed<readonly ParityFigures[] | undefined>(
      () =>
        measured.value &&
        parityOf(
          measured.value.map(({ entry }) => entry),
          span.value,
        ),
    ),
    open,
    leave() {
      turn++
      busy.value = false
      problem.value = undefined
      leave()
    },
    ask(asked: Question) {
      question.value = asked
      entries.value = []
      next.value = undefined
      return load()
    },
    /** The newest entries, when none are there yet. */
    begin: async () => {
      if (entries.value.length === 0) await load()
    },
    more: () => load(true),
    again: () =>
      during(async () => {
        checkpoint.value = await client.value!.refresh()
      }),
    /** Reads the figures of all providers since a day. */
    readParity: (from: string) =>
      during(async (isCurrent) => {
        const all = async (question: Question) => {
          const found: ProvenEntry[] = []
          proven.value = 0
          let cursor: string | undefined
          for (let pages = 0; pages < mostFigurePages && isCurrent(); pages++) {
            const page = await client.value!.find({ limit: figuresAtOnce, ...question }, cursor, found.at(-1))
            found.push(...page.entries)
            cursor = page.next
            proven.value = found.length
            if (cursor === undefined) break
          }
          return found
        }
        // Requests of any time: an old one that is open counts most.
        const asked = [...(await all({ type: requestedType })), ...(await all({ type: answeredType }))]
        if (!isCurrent()) return
        const entries = asked.map(({ entry }) => entry)
        requests.value = clockOf(entries, Date.now())
        const figures = await all({ type: parityType, from })
        if (isCurrent()) measured.value = figures
      }),
    save: (entry: ProvenEntry) =>
      during(async () => {
        const proof = await client.value!.proof(entry)
        const { label } = partsOf(entry.log)
        download(
          `${label === '' ? '' : `${label}-`}${entry.index}.tlog-proof`,
          new Blob([proof], { type: 'text/plain' }),
        )
      }),
    exportAll: (format: 'csv' | 'ocsf' | 'ndjson') =>
      during(async () => {
        const blob = await client.value!.exported(question.value, format)
        download(`audit.${format === 'csv' ? 'csv' : `${format}.ndjson`}`, blob)
      }),
    saveEvidence() {
      if (client.value) download('two-checkpoints.txt', new Blob([client.value.evidence()], { type: 'text/plain' }))
    },
  }
}

export type Session = ReturnType<typeof openSession>

/** What each type of event means, out of the schema of entries. */
function readDescriptions(schema: unknown): ReadonlyMap<string, string> {
  const { oneOf, anyOf } = schema as { oneOf?: unknown[]; anyOf?: unknown[] }
  const variants = (oneOf ?? anyOf ?? []) as { title?: string; description?: string }[]
  return new Map(variants.flatMap(({ title, description }) => (title ? [[title, description ?? '']] : [])))
}

function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // After the click has been dealt with.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
