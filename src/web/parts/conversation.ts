import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals'
import type { Device, Member, Room, Storage } from '../../client/index.ts'
import { textMessage } from '../../content/index.ts'
import { fromBase64Url, toBase64Url } from '../../crypto/bytes.ts'
import type { AccountAddress, Posture, RoomId } from '../../identity/index.ts'
import { type Mark, type Note, notes, type Placed, type RoomNotes, type Waiting } from './notes.ts'
import { type Row, rowsOf } from './rows.ts'

/** What is known of a room's people. */
export interface Facts {
  readonly room: Room | undefined
  readonly members: readonly Member[]
  readonly posture: Posture | undefined
  /** Sixty digits; undefined where there are not two accounts. */
  readonly safetyNumber: string | undefined
}

/** One conversation as a page shows it. It follows its device until that is closed. */
export interface Conversation {
  readonly id: RoomId
  readonly rows: ReadonlySignal<readonly Row[]>
  readonly facts: ReadonlySignal<Facts>
  readonly draft: ReadonlySignal<string>
  /** Messages of others that nobody has seen. */
  readonly unread: ReadonlySignal<number>
  /** The message that is being answered. */
  readonly answering: Signal<Note | undefined>
  readonly notes: ReadonlySignal<RoomNotes>
  /** Whether there are older messages than those shown. */
  readonly earlier: ReadonlySignal<boolean>
  /** The newest message or line, for a list of conversations. */
  readonly newest: ReadonlySignal<Placed | Waiting | undefined>
  /** The other account wrote something. */
  readonly answered: ReadonlySignal<boolean>
  /** Those who write now. */
  readonly typing: ReadonlySignal<readonly AccountAddress[]>
  showEarlier(): void
  setDraft(text: string): void
  /** Sends the draft. Errors: ClientError. */
  send(): Promise<void>
  /** What was refused goes back into the draft. */
  takeBack(id: string): Promise<void>
  /** Somebody looks at the newest message. */
  seen(): void
  /** The line above new messages stays where it is until the reader comes back. */
  look(): void
  remember(changed: Partial<RoomNotes>): Promise<void>
  refresh(): Promise<void>
}

/** What the owner of all conversations tells one. */
export interface ConversationFeed extends Conversation {
  place(entry: Placed): void
  unwait(id: string): void
  refuse(id: string, why: string): void
  mark(ids: readonly string[], mark: Mark): void
  /** Read on another device of this account. */
  seenUpTo(seq: number, ids: readonly string[]): void
  typed(account: AccountAddress, on: boolean): void
  keyChanged(): void
}

/** Entries drawn at first, and more at each wish. */
const page = 200

export async function openConversation(device: Device, storage: Storage, id: RoomId): Promise<ConversationFeed> {
  const stored = await storage.transaction(async (tx) => ({
    placed: await notes.placed(tx, id),
    waiting: await notes.waiting(tx, id),
    marks: await notes.marks(tx, id),
    own: await notes.room(tx, id),
  }))
  const placed = signal<readonly Placed[]>(stored.placed)
  const waiting = signal<readonly Waiting[]>(stored.waiting)
  const marks = signal<ReadonlyMap<string, Mark>>(stored.marks)
  const own = signal(stored.own)
  const draft = signal(stored.own.draft)
  const answering = signal<Note | undefined>(undefined)
  const limit = signal(page)
  const typing = signal<readonly AccountAddress[]>([])
  const unseen = (entry: Placed) => 'mine' in entry && !entry.mine && entry.seq > own.value.seenSeq
  const newAfter = signal(placed.value.some(unseen) ? own.value.seenSeq : undefined)
  const facts = signal<Facts>({ room: undefined, members: [], posture: undefined, safetyNumber: undefined })

  const remember = async (changed: Partial<RoomNotes>) => {
    own.value = { ...own.value, ...changed }
    await storage.transaction((tx) => notes.setRoom(tx, id, changed))
  }
  const quietly = (work: Promise<unknown>) => void work.catch(() => {}) // the storage was closed, or the chat has ended
  // One write at a time, and then what was typed meanwhile.
  let writing = false
  const keepDraft = async () => {
    if (writing) return
    writing = true
    try {
      while (own.value.draft !== draft.value) await remember({ draft: draft.value })
    } finally {
      writing = false
    }
  }
  const setDraft = (text: string) => {
    draft.value = text
    quietly(keepDraft())
    quietly(device.typing(id, text !== ''))
  }

  const refresh = async () => {
    const room = await device.room(id).catch(() => undefined)
    const [members, posture, safetyNumber] = await Promise.all([
      device.members(id).catch(() => []),
      device.posture(id).catch(() => undefined),
      device.safetyNumber(id).catch(() => undefined),
    ])
    facts.value = { room, members, posture, safetyNumber }
  }
  await refresh()

  return {
    id,
    facts,
    draft,
    answering,
    typing,
    notes: own,
    rows: computed(() =>
      rowsOf({
        placed: placed.value,
        waiting: waiting.value,
        marks: marks.value,
        newAfter: newAfter.value,
        limit: limit.value,
      }),
    ),
    unread: computed(() => placed.value.filter(unseen).length),
    earlier: computed(() => placed.value.length > limit.value),
    newest: computed(() => waiting.value.at(-1) ?? placed.value.at(-1)),
    answered: computed(() => placed.value.some((entry) => 'mine' in entry && !entry.mine)),
    remember,
    refresh,
    setDraft,
    showEarlier() {
      limit.value += page
    },

    async send() {
      const text = draft.value.trim()
      if (!text) return
      const answered = answering.value
      const at = Date.now()
      const reply = answered ? { replyTo: answered.id } : {}
      const inReplyTo = answered ? { inReplyTo: fromBase64Url(answered.id) } : {}
      draft.value = ''
      answering.value = undefined
      quietly(device.typing(id, false))
      const keep = { note: undefined as Waiting | undefined }
      try {
        const { accepted } = await device.send(id, textMessage({ plain: text, ...inReplyTo }), {
          async within(tx, messageId) {
            keep.note = { id: toBase64Url(messageId), mine: true, text, at, ...reply }
            await notes.wait(tx, id, keep.note)
            await notes.setRoom(tx, id, { draft: '' })
          },
        })
        // It may have its place already.
        const { note } = keep
        if (note && !placed.value.some((entry) => 'id' in entry && entry.id === note.id))
          waiting.value = [...waiting.value, note]
        newAfter.value = undefined
        own.value = { ...own.value, draft: '' }
        accepted.catch(() => {}) // told by the event
      } catch (error) {
        batch(() => {
          if (draft.value === '') setDraft(text)
          answering.value ??= answered
        })
        throw error
      }
    },

    async takeBack(noteId) {
      const note = await storage.transaction((tx) => notes.takeWaiting(tx, id, noteId))
      waiting.value = waiting.value.filter((each) => each.id !== noteId)
      if (note) setDraft(draft.value ? `${note.text}\n${draft.value}` : note.text)
    },

    seen() {
      const newest = placed.value.at(-1)
      if (!newest || newest.seq <= own.value.seenSeq) return
      const last = placed.value.findLast(unseen)
      quietly(remember({ seenSeq: newest.seq }))
      if (last && 'id' in last) quietly(device.markRead(id, fromBase64Url(last.id)))
    },
    look() {
      newAfter.value = placed.value.some(unseen) ? own.value.seenSeq : undefined
    },

    place(entry) {
      if (placed.value.some((each) => each.seq === entry.seq)) return
      const rest = placed.value
      const after = rest.findLastIndex(({ seq }) => seq < entry.seq) + 1
      batch(() => {
        placed.value = [...rest.slice(0, after), entry, ...rest.slice(after)]
        // Nothing goes away above while somebody reads.
        if (rest.length >= limit.value) limit.value++
        if ('id' in entry) waiting.value = waiting.value.filter((each) => each.id !== entry.id)
        if (unseen(entry)) newAfter.value ??= own.value.seenSeq
      })
    },
    unwait(noteId) {
      waiting.value = waiting.value.filter((each) => each.id !== noteId)
    },
    refuse(noteId, why) {
      waiting.value = waiting.value.map((each) => (each.id === noteId ? { ...each, refused: why } : each))
    },
    keyChanged() {
      own.value = { ...own.value, keyChanged: true }
      void refresh()
    },
    mark(ids, mark) {
      const fresh = ids.filter((each) => marks.value.get(each) !== 'read')
      marks.value = new Map([...marks.value, ...fresh.map((each) => [each, mark] as const)])
    },
    seenUpTo(_seq, ids) {
      const last = placed.value.findLast((entry) => 'id' in entry && ids.includes(entry.id))
      if (last && last.seq > own.value.seenSeq) quietly(remember({ seenSeq: last.seq }))
    },
    typed(account, on) {
      const others = typing.value.filter((each) => each !== account)
      typing.value = on ? [...others, account] : others
    },
  }
}
