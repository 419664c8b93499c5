import type { Device, Storage } from '../../src/client/index.ts'
import { fromBase64Url } from '../../src/crypto/index.ts'
import { type AccountAddress, describePosture, providerOf, type RoomId } from '../../src/identity/index.ts'
import { type Note, notes } from './notes.ts'
import { openRoomList, type RoomList } from './rooms.ts'
import { explain } from './words.ts'

/** Messages of a conversation that are shown again when it is opened. */
const HISTORY_SHOWN = 10

/** What a person at the terminal sees: one conversation open at a time, messages with numbers to refer to. */
export interface View {
  readonly rooms: RoomList
  /** The groups that this device was in when the session began. */
  readonly groups: readonly RoomId[]
  /** The conversation that is open, and how the other person is called. */
  readonly current: { readonly room: RoomId; readonly name: string } | undefined
  print(line: string): void
  /**
   * Prints later, in order. Printing may have to ask the device for a name, which a handler inside one of its transactions
   * must not wait for.
   */
  later(work: () => Promise<unknown> | unknown): void
  /** Something is under way that should not be cut off by leaving. */
  waitFor(work: Promise<unknown>): void
  /** Resolves when nothing is under way or waits to be printed, or after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void>
  open(room: RoomId): Promise<void>
  /** Asks anew how the other person of the open conversation is called. */
  refresh(): Promise<void>
  close(): void
  showMessage(room: RoomId, note: Note): Promise<void>
  showPosture(room: RoomId): Promise<void>
  /** The number by which a message is referred to. */
  numberOf(room: RoomId, id: string): number
  byNumber(number: number): { room: RoomId; id: string } | undefined
}

export async function openView(device: Device, storage: Storage, print: (line: string) => void): Promise<View> {
  const rooms = openRoomList(device, storage)
  const groups = (await rooms.all()).filter(({ kind, joined }) => kind === 'group' && joined).map(({ id }) => id)
  const numbered: { room: RoomId; id: string }[] = []
  let current: View['current']
  let printing: Promise<unknown> = Promise.resolve()
  const underWay = new Set<Promise<unknown>>()
  /** Messages of which it was told, when their conversation was opened, that they were read. */
  const told = new Set<string>()

  const indexOf = (id: string) => numbered.findIndex((one) => one.id === id)
  const view: View = {
    rooms,
    groups,
    get current() {
      return current
    },
    print,
    later(work) {
      printing = printing
        .then(view.refresh)
        .then(work)
        .catch((error) => print(`! ${explain(error)}`))
    },
    waitFor(work) {
      const ended: Promise<unknown> = work.then(
        () => underWay.delete(ended),
        () => underWay.delete(ended),
      )
      underWay.add(ended)
    },
    async settled(timeoutMs) {
      await printing
      const late = new Promise<void>((done) => setTimeout(done, timeoutMs).unref())
      await Promise.race([Promise.all(underWay), late])
      await printing
    },
    async open(room) {
      current = { room, name: await rooms.nameOf(room) }
      print(`── ${rooms.numberOf(room)}: ${current.name} ──`)
      const known = await device.room(room)
      if (known?.joined) await view.showPosture(room)
      if (known?.standing === 'requested') print('   They are waiting for your answer: /accept, /decline or /block.')
      const shown = await storage.transaction((tx) => notes.last(tx, room, HISTORY_SHOWN))
      for (const note of shown) await view.showMessage(room, note)
      // What came before the conversation was open, or accepted, is read now.
      const newest = shown.findLast(({ mine }) => !mine)
      if (!newest || told.has(newest.id) || known?.standing !== 'accepted') return
      told.add(newest.id)
      await device.markRead(room, fromBase64Url(newest.id))
    },
    async refresh() {
      if (current) current = { ...current, name: await rooms.nameOf(current.room) }
    },
    close() {
      current = undefined
    },
    async showMessage(room, { id, mine, text, replyTo, sender }) {
      const name = () => (sender ? rooms.personOf(room, sender as AccountAddress) : rooms.nameOf(room))
      const who = mine ? 'you' : await name()
      const answered = replyTo === undefined ? -1 : indexOf(replyTo)
      print(`[${view.numberOf(room, id)}] ${who}${answered >= 0 ? ` (answering [${answered + 1}])` : ''}: ${text}`)
    },
    async showPosture(room) {
      const name = await rooms.nameOf(room)
      const other = (await device.room(room))?.kind === 'group' ? `the others in ${name}` : name
      print(`   ${describePosture(await device.posture(room), { other, host: providerOf(device.address) })}`)
    },
    numberOf(room, id) {
      const known = indexOf(id)
      return known >= 0 ? known + 1 : numbered.push({ room, id })
    },
    byNumber: (number) => numbered[number - 1],
  }
  return view
}
