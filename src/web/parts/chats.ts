import { type Signal, signal } from '@preact/signals'
import type { Device, LogPosition, ReceivedMessage, Room, Storage, StorageTx } from '../../client/index.ts'
import { readText } from '../../content/index.ts'
import { toBase64Url } from '../../crypto/bytes.ts'
import type { RoomId } from '../../identity/index.ts'
import { type Conversation, type ConversationFeed, openConversation } from './conversation.ts'
import { type NoticeCode, notes, type Placed } from './notes.ts'

/** When a chat with a guest ends, by this device's clock, milliseconds since the epoch. */
export interface Ending {
  readonly at: number
  readonly idleMs: number
}

/** All conversations of a device, kept in its storage and in step with it. */
export interface Chats {
  readonly device: Device
  readonly storage: Storage
  /** Whether the provider knows this device now; undefined until the first answer. */
  readonly online: Signal<boolean | undefined>
  /** This device's clock is wrong: what it has to sign now and then, nobody would take. */
  readonly clockWrong: Signal<boolean>
  readonly rooms: Signal<readonly Room[]>
  /** Of chats with guests, as the provider last told. */
  readonly endings: Signal<ReadonlyMap<RoomId, Ending>>
  /** Errors: ClientError. */
  keepOpen(room: RoomId): Promise<void>
  open(room: RoomId): Promise<Conversation>
  /** A message of somebody else came. */
  onMessage(listener: (room: RoomId, note: Placed) => void): void
}

/** Follows a device that has not been started; start it afterwards, so that nothing is missed. */
export async function followChats(device: Device, storage: Storage): Promise<Chats> {
  const online = signal<boolean | undefined>(undefined)
  const clockWrong = signal(false)
  const rooms = signal<readonly Room[]>(await device.rooms())
  const endings = signal<ReadonlyMap<RoomId, Ending>>(new Map())
  const open = new Map<RoomId, Promise<ConversationFeed>>()
  const listeners: ((room: RoomId, note: Placed) => void)[] = []
  const told = (room: RoomId, tell: (conversation: ConversationFeed) => void) => {
    // Not within the transaction that the event stands in: a page must not hold that up.
    void open.get(room)?.then(tell)
  }
  const place = async (tx: StorageTx, room: RoomId, entry: Placed) => {
    await notes.place(tx, room, entry)
    told(room, (conversation) => conversation.place(entry))
  }
  const notice = (tx: StorageTx, { room, seq, timestampMs }: LogPosition, code: NoticeCode) =>
    place(tx, room, { seq, at: timestampMs, notice: code })

  device.on('message', async (message, tx) => {
    const text = readText(message.content)
    if (!text) return
    const { inReplyTo } = message.content
    const fresh = !message.own && (await isNewDevice(tx, message))
    const entry: Placed = {
      seq: message.seq,
      id: toBase64Url(message.messageId),
      mine: message.own,
      sender: message.sender,
      text: text.plain,
      at: message.timestampMs,
      ...(inReplyTo && { replyTo: toBase64Url(inReplyTo) }),
    }
    if (message.own) delete entry.sender
    if (fresh) entry.newDevice = true
    await place(tx, message.room, entry)
    if (message.own) return
    setTimeout(() => {
      for (const listener of listeners) listener(message.room, entry)
    })
  })
  device.on('receipt', async ({ room, own, status, messageIds, seq }, tx) => {
    const ids = messageIds.map(toBase64Url)
    if (own) {
      // Read on another device of this account.
      if (status === 'read') told(room, (conversation) => conversation.seenUpTo(seq, ids))
      return
    }
    for (const id of ids) await notes.mark(tx, room, id, status)
    told(room, (conversation) => conversation.mark(ids, status))
  })
  device.on('typing', ({ room, account, on }) => told(room, (conversation) => conversation.typed(account, on)))
  device.on('accepted', async ({ room, seq, timestampMs, messageId }, tx) => {
    const waiting = await notes.takeWaiting(tx, room, toBase64Url(messageId))
    if (waiting) await place(tx, room, { ...waiting, seq, at: timestampMs })
  })
  device.on('refused', async ({ room, messageId, error }, tx) => {
    if (!room || !messageId) return
    const id = toBase64Url(messageId)
    const waiting = await notes.takeWaiting(tx, room, id)
    if (!waiting) return
    await notes.wait(tx, room, { ...waiting, refused: error.code })
    told(room, (conversation) => conversation.refuse(id, error.code))
  })
  device.on('undecryptable', ({ error, ...at }, tx) =>
    notice(tx, at, error.code === 'text-only' ? 'notText' : 'unreadable'),
  )
  device.on('gap', (at, tx) => notice(tx, at, 'gap'))
  device.on('keyChanged', async ({ room }, tx) => {
    await notes.setRoom(tx, room, { keyChanged: true })
    told(room, (conversation) => conversation.keyChanged())
  })
  device.on('posture', ({ room }) => void told(room, (conversation) => void conversation.refresh()))
  device.on('profile', () => {
    for (const room of open.keys()) told(room, (conversation) => void conversation.refresh())
  })
  device.on('room', ({ id }) => {
    setTimeout(async () => {
      rooms.value = await device.rooms().catch(() => rooms.value)
      told(id, (conversation) => void conversation.refresh())
    })
  })
  device.on('ending', ({ room, leftMs, idleMs }) => {
    endings.value = new Map([...endings.value, [room, { at: Date.now() + leftMs, idleMs }]])
  })
  device.on('online', (up) => {
    online.value = up
    clockWrong.value = false
  })
  device.on('fault', ({ code }) => {
    clockWrong.value ||= code === 'wrong-clock'
  })

  return {
    device,
    storage,
    online,
    clockWrong,
    rooms,
    endings,
    async keepOpen(room) {
      const { leftMs, idleMs } = await device.extendChat(room)
      endings.value = new Map([...endings.value, [room, { at: Date.now() + leftMs, idleMs }]])
    },
    open(room) {
      const opened = open.get(room) ?? openConversation(device, storage, room)
      open.set(room, opened)
      return opened
    },
    onMessage: (listener) => void listeners.push(listener),
  }
}

/** Whether the other side writes from a device that has not written before, when others have. */
async function isNewDevice(tx: StorageTx, { room, senderDevice }: ReceivedMessage): Promise<boolean> {
  const { devices = [] } = await notes.room(tx, room)
  if (devices.includes(senderDevice)) return false
  await notes.setRoom(tx, room, { devices: [...devices, senderDevice] })
  return devices.length > 0
}
