/** What entries are looked for by. Read from an entry of any version of the schema: what is not there is undefined. */
export interface Facets {
  /** When it happened, milliseconds since the epoch. */
  readonly at: number
  readonly type: string
  /** The network, or the other provider, that it is about. */
  readonly provider: string | undefined
  /** What became of it: `done`, `refused`, or what the entry itself says. */
  readonly outcome: string
  /** Pseudonyms of accounts, devices and rooms that it is about, and of an erasure its id. */
  readonly subjects: readonly string[]
}

export type EntryJson = Readonly<Record<string, unknown>>

/** Members that hold a pseudonym, or tie entries together as one does. A test holds this against the schema of entries. */
export const subjectMembers = ['account', 'reporter', 'device', 'room', 'erasure', 'mapping', 'request'] as const

/** What can have become of an event. A test holds this against the schema of entries. */
export const outcomes = ['done', 'refused', 'operational', 'withdrawn'] as const

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

export function facetsOf(entry: EntryJson): Facets {
  const type = text(entry.type) ?? ''
  return {
    at: Date.parse(text(entry.time) ?? ''),
    type,
    provider: text(entry.provider) ?? text(entry.network),
    outcome: text(entry.outcome) ?? (type.startsWith('refusal') ? 'refused' : 'done'),
    subjects: subjectMembers.flatMap((member) => text(entry[member]) ?? []),
  }
}

/** An entry's JSON. An entry that is none is an object without members, which no filter but an empty one finds. */
export function readEntry(body: Uint8Array): EntryJson {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    return typeof value === 'object' && value !== null ? (value as EntryJson) : {}
  } catch {
    return {}
  }
}

/** What to look for; each that is given has to hold. */
export interface EntryFilter {
  /** Milliseconds since the epoch: not before, and before. */
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly type?: string | undefined
  readonly provider?: string | undefined
  readonly pseudonym?: string | undefined
  readonly outcome?: string | undefined
}

export function matches({ at, type, provider, outcome, subjects }: Facets, filter: EntryFilter): boolean {
  const same = (wanted: string | undefined, is: string | undefined) => wanted === undefined || wanted === is
  return (
    (filter.from === undefined || at >= filter.from) &&
    (filter.to === undefined || at < filter.to) &&
    same(filter.type, type) &&
    same(filter.provider, provider) &&
    same(filter.outcome, outcome) &&
    (filter.pseudonym === undefined || subjects.includes(filter.pseudonym))
  )
}
