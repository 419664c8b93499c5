import type { StorageTx } from '../../client/index.ts'

/** A message as the page keeps it. */
export interface Note {
  /** Message id, base64url. */
  id: string
  /** Whether this account wrote it. */
  mine: boolean
  /** The account that wrote it, where there may be several others. */
  sender?: string
  text: string
  /** Milliseconds since the epoch: the log's time, before that this device's. */
  at: number
  /** Message id that it answers. */
  replyTo?: string
  /** It came from a device that had not written before. */
  newDevice?: boolean
}

export type NoticeCode = 'gap' | 'unreadable' | 'notText' | 'device'
/** A line between messages that says what happened. */
export interface Notice {
  notice: NoticeCode
  at: number
}

export type Placed = { seq: number } & (Note | Notice)
/** What is known of a message of ours. */
export type Mark = 'delivered' | 'read'
/** A message of ours without a place in the log: `refused` says that it will get none. */
export type Waiting = Note & { refused?: string }

export interface RoomNotes {
  /** The newest entry that a person has seen. */
  seenSeq: number
  draft: string
  /** The safety number that was compared. */
  compared?: string
  /** The other side stands under another key than before. */
  keyChanged?: boolean
  /** Devices of others that have written. */
  devices?: string[]
  /** Whether notifications were offered. */
  offered?: boolean
  /** How the other side was called when the conversation was begun here. */
  label?: string
}

const placed = 'page.placed'
const waiting = 'page.waiting'
const marks = 'page.mark'
const roomNotes = 'page.room'

const write = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const read = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T
/** Sequence numbers have fewer digits, so that keys sort as numbers do. */
const digits = 16
const keyOf = (room: string, rest: string) => `${room}|${rest}`

/** What the page writes beside the device's own state, in the same storage, so that it commits with it: each message once. */
export const notes = {
  async place(tx: StorageTx, room: string, entry: Placed): Promise<void> {
    const { seq, ...rest } = entry
    await tx.put(placed, keyOf(room, String(seq).padStart(digits, '0')), write(rest))
  },

  async placed(tx: StorageTx, room: string): Promise<Placed[]> {
    const rows = await tx.list(placed, keyOf(room, ''))
    return rows.map(({ key, value }) => ({ ...read<Note | Notice>(value), seq: Number(key.slice(-digits)) }))
  },

  async wait(tx: StorageTx, room: string, note: Waiting): Promise<void> {
    await tx.put(waiting, keyOf(room, note.id), write(note))
  },

  /** Undefined: it is none that a person wrote. */
  async takeWaiting(tx: StorageTx, room: string, id: string): Promise<Waiting | undefined> {
    const bytes = await tx.get(waiting, keyOf(room, id))
    await tx.delete(waiting, keyOf(room, id))
    return bytes && read<Waiting>(bytes)
  },

  /** Oldest first. */
  async waiting(tx: StorageTx, room: string): Promise<Waiting[]> {
    const rows = await tx.list(waiting, keyOf(room, ''))
    return rows.map(({ value }) => read<Waiting>(value)).sort((a, b) => a.at - b.at)
  },

  /** What was read stays read, whatever is told of it later. */
  async mark(tx: StorageTx, room: string, id: string, mark: Mark): Promise<void> {
    if (mark === 'delivered' && (await tx.get(marks, keyOf(room, id)))) return
    await tx.put(marks, keyOf(room, id), write(mark))
  },

  async marks(tx: StorageTx, room: string): Promise<Map<string, Mark>> {
    const rows = await tx.list(marks, keyOf(room, ''))
    return new Map(rows.map(({ key, value }) => [key.slice(room.length + 1), read<Mark>(value)]))
  },

  async room(tx: StorageTx, room: string): Promise<RoomNotes> {
    const bytes = await tx.get(roomNotes, room)
    return { seenSeq: 0, draft: '', ...(bytes && read<Partial<RoomNotes>>(bytes)) }
  },

  async setRoom(tx: StorageTx, room: string, changed: Partial<RoomNotes>): Promise<void> {
    await tx.put(roomNotes, room, write({ ...(await notes.room(tx, room)), ...changed }))
  },
}
