import type { StorageTx } from '../../src/client/index.ts'

/** A message as this client keeps it, to show it again. */
export interface Note {
  /** Message id, base64url. */
  id: string
  mine: boolean
  /** Of a group: the account that wrote it. */
  sender?: string
  text: string
  /** Milliseconds since the epoch, the log's time. */
  at: number
  /** Message id that it answers. */
  replyTo?: string
}

const history = 'chat.history'
const waiting = 'chat.waiting'
const labels = 'chat.labels'

const write = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const read = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T
/** Sequence numbers have fewer digits than this, so that keys sort as numbers do. */
const placeOf = (room: string, seq: number) => `${room}|${String(seq).padStart(16, '0')}`

/**
 * What the terminal client writes down beside the device's own state, in the same storage: so it commits in the same
 * transaction, and a message is in the history exactly once.
 */
export const notes = {
  /** A message of ours that has no place in the room's log yet. */
  async keepWaiting(tx: StorageTx, note: Note): Promise<void> {
    await tx.put(waiting, note.id, write(note))
  },

  /** Our message has its place: it moves into the history. */
  async place(tx: StorageTx, room: string, seq: number, at: number, id: string): Promise<Note | undefined> {
    const bytes = await tx.get(waiting, id)
    if (!bytes) return undefined
    const note = { ...read<Note>(bytes), at }
    await tx.delete(waiting, id)
    await tx.put(history, placeOf(room, seq), write(note))
    return note
  },

  /** Our message will not be delivered. False: it was none that a person wrote. */
  async forgetWaiting(tx: StorageTx, id: string): Promise<boolean> {
    const known = (await tx.get(waiting, id)) !== undefined
    await tx.delete(waiting, id)
    return known
  },

  async add(tx: StorageTx, room: string, seq: number, note: Note): Promise<void> {
    await tx.put(history, placeOf(room, seq), write(note))
  },

  async last(tx: StorageTx, room: string, count: number): Promise<Note[]> {
    const all = await tx.list(history, `${room}|`)
    return all.slice(-count).map(({ value }) => read<Note>(value))
  },

  /** Messages that are kept, of all rooms. */
  async count(tx: StorageTx): Promise<number> {
    return (await tx.list(history)).length
  },

  /** How the other person of a room was called when the conversation was begun here. */
  async label(tx: StorageTx, room: string): Promise<string | undefined> {
    const bytes = await tx.get(labels, room)
    return bytes && read<string>(bytes)
  },
  async setLabel(tx: StorageTx, room: string, label: string): Promise<void> {
    await tx.put(labels, room, write(label))
  },
}
