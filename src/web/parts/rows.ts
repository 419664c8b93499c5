import type { Mark, Note, NoticeCode, Placed, Waiting } from './notes.ts'

export type MessageState = 'waiting' | 'sent' | 'delivered' | 'read' | 'refused'

/** What a conversation shows, from the top down. */
export type Row =
  | { row: 'day'; key: string; at: number }
  | { row: 'unread'; key: string }
  | { row: 'notice'; key: string; notice: NoticeCode; at: number }
  | {
      row: 'message'
      key: string
      note: Note
      /** Of a message of ours. */
      state?: MessageState
      /** Why it was refused. */
      refused?: string
      /** The message that it answers, when it is known here. */
      answered?: Note
      /** The first and last of messages that one person wrote within a few minutes. */
      first: boolean
      last: boolean
    }

export interface Shown {
  readonly placed: readonly Placed[]
  readonly waiting: readonly Waiting[]
  readonly marks: ReadonlyMap<string, Mark>
  /** Entries after this one are new to the reader; undefined: no line is drawn. */
  readonly newAfter: number | undefined
  /** The newest so many entries are shown. */
  readonly limit: number
}

/** Messages of one person that are closer than this look like one. */
const togetherMs = 5 * 60 * 1000

const dayOf = (at: number) => new Date(at).toDateString()

export function rowsOf({ placed, waiting, marks, newAfter, limit }: Shown): Row[] {
  const rows: Row[] = []
  const known = new Map(placed.flatMap((entry) => ('notice' in entry ? [] : [[entry.id, entry as Note] as const])))
  for (const note of waiting) known.set(note.id, note)
  let day = ''
  let lineDrawn = newAfter === undefined
  const begin = (at: number) => {
    if (dayOf(at) === day) return
    day = dayOf(at)
    rows.push({ row: 'day', key: `day ${day}`, at })
  }
  const message = (note: Note, state: MessageState | undefined, refused?: string) => {
    const answered = note.replyTo === undefined ? undefined : known.get(note.replyTo)
    const before = rows.at(-1)
    const joins =
      before?.row === 'message' &&
      before.note.mine === note.mine &&
      before.note.sender === note.sender &&
      note.at - before.note.at < togetherMs
    if (joins) before.last = false
    const optional = { ...(state && { state }), ...(refused && { refused }), ...(answered && { answered }) }
    rows.push({ row: 'message', key: note.id, note, ...optional, first: !joins, last: true })
  }
  // Who has read a message has read those before it.
  const lastRead = placed.findLastIndex((entry) => 'mine' in entry && entry.mine && marks.get(entry.id) === 'read')
  const from = Math.max(0, placed.length - limit)
  for (const [index, entry] of placed.slice(from).entries()) {
    begin(entry.at)
    const fresh = !lineDrawn && entry.seq > newAfter! && !('mine' in entry && entry.mine)
    if (fresh) {
      rows.push({ row: 'unread', key: 'unread' })
      lineDrawn = true
    }
    if ('newDevice' in entry && entry.newDevice)
      rows.push({ row: 'notice', key: `device ${entry.seq}`, notice: 'device', at: entry.at })
    if ('notice' in entry) rows.push({ row: 'notice', key: `notice ${entry.seq}`, notice: entry.notice, at: entry.at })
    else if (entry.mine) message(entry, from + index <= lastRead ? 'read' : (marks.get(entry.id) ?? 'sent'))
    else message(entry, undefined)
  }
  for (const note of waiting) {
    begin(note.at)
    message(note, note.refused ? 'refused' : 'waiting', note.refused)
  }
  return rows
}
