import * as wasm from '@matrix-org/matrix-sdk-crypto-wasm'
import type { StubKeys } from './keys.ts'
import type { Json, StubEvent, StubRooms } from './rooms.ts'

/** An event of somebody else, as this user reads it. */
export interface Seen {
  readonly room: string
  readonly eventId: string
  readonly sender: string
  readonly type: string
  readonly content: Json
  readonly encrypted: boolean
  /** Milliseconds since the epoch at which it was read. */
  readonly at: number
}

/** A Matrix user with one device and an Olm machine in memory. */
export interface StubUser {
  readonly user: string
  /** What was read so far, in the order of the rooms; empty where the user was made not to keep it. */
  readonly seen: readonly Seen[]
  /** Events that could not be decrypted yet. */
  readonly unread: number
  readonly joined: readonly string[]
  /** Invited, and neither in nor out again; where `joins` is false. */
  readonly invited: readonly string[]
  /** Whether they join wherever they are invited; true unless set. */
  joins: boolean
  /** Called for each message that is read. */
  onSeen: ((seen: Seen) => void) | undefined
  /** Encrypts and sends, with `more` in its content; gives the event id. */
  send(room: string, text: string, more?: Json): Promise<string>
  /** The same with any event. */
  sendEvent(room: string, type: string, content: Json): Promise<string>
  /** An encrypted room with these invited. */
  createRoom(invite: readonly string[]): string
  leave(room: string): void
  /** The next message in the room is under a room key of its own. */
  newRoomKey(room: string): void
  /** Resolves when all that has come so far is read. */
  idle(): Promise<void>
  /** @internal of the homeserver */
  readonly take: { event(event: StubEvent): void; toDevice(): void; listsChanged(user: string): void }
}

/** Messages that one room key serves. The machine gives out a new one by itself only when it is asked to share. */
const messagesPerKey = 100
const silent = { debug() {}, info() {}, warn() {}, error() {} }

type Request = { id?: string; type: wasm.RequestType; body: string; event_type?: string; txn_id?: string }

export async function stubUser({
  user,
  rooms,
  keys,
  keep,
}: {
  user: string
  rooms: StubRooms
  keys: StubKeys
  keep: boolean
}): Promise<StubUser> {
  await wasm.initAsync()
  const device = 'CLIENT'
  const olm = await wasm.OlmMachine.initialize(
    new wasm.UserId(user),
    new wasm.DeviceId(device),
    undefined,
    undefined,
    silent,
  )
  const seen: Seen[] = []
  const joined = new Set<string>()
  const invited = new Set<string>()
  const tracked = new Set<string>()
  /** Messages that the present room key has served. */
  const served = new Map<string, number>()
  let changed = new Set<string>()
  let queue: StubEvent[] = []
  let unread: StubEvent[] = []
  let haveToDevice = false
  let last: Promise<unknown> = Promise.resolve()
  /** One thing at a time, as in a client. */
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work, work)
    last = run.catch(() => {})
    return run
  }
  const ids = (users: Iterable<string>) => [...users].map((each) => new wasm.UserId(each))

  const answerTo = (request: Request): Json => {
    const body = JSON.parse(request.body) as Json
    switch (request.type) {
      case wasm.RequestType.KeysUpload:
        return keys.upload(user, device, body)
      case wasm.RequestType.KeysQuery:
        return keys.query(body)
      case wasm.RequestType.KeysClaim:
        return keys.claim(body)
      case wasm.RequestType.SignatureUpload:
        return keys.sign(body)
      default:
        return keys.sendToDevice(user, String(request.event_type), body, `${user} ${request.txn_id}`)
    }
  }
  const perform = async (request: Request) => {
    const answer = answerTo(request)
    if (request.id) await olm.markRequestAsSent(request.id, request.type, JSON.stringify(answer))
  }
  const flush = async () => {
    for (const request of (await olm.outgoingRequests()) as Request[]) await perform(request)
  }

  const takeToDevice = async () => {
    haveToDevice = false
    const messages = keys.take(user, device)
    const lists = changed
    changed = new Set()
    if (messages.length + lists.size === 0) return
    const counts = new Map([['signed_curve25519', keys.countOf(user, device).signed_curve25519]])
    const about = new wasm.DeviceLists(ids([...lists].filter((each) => tracked.has(each))), [])
    await olm.receiveSyncChanges(JSON.stringify(messages), about, counts)
    await flush()
    const again = unread
    unread = []
    for (const event of again) await read(event)
  }

  const read = async (event: StubEvent) => {
    const { room_id: room, type, sender, content, event_id: eventId } = event
    const keepIt = (inner: { type: string; content: Json }, encrypted: boolean) => {
      const one = { room, eventId, sender, ...inner, encrypted, at: Date.now() }
      if (keep) seen.push(one)
      self.onSeen?.(one)
    }
    if (type !== 'm.room.encrypted') return keepIt({ type, content }, false)
    try {
      const settings = new wasm.DecryptionSettings(wasm.TrustRequirement.Untrusted)
      const decrypted = await olm.decryptRoomEvent(JSON.stringify(event), new wasm.RoomId(room), settings)
      keepIt(JSON.parse(decrypted.event), true)
    } catch {
      unread.push(event)
    }
  }

  const work = async () => {
    if (haveToDevice) await takeToDevice()
    const events = queue
    queue = []
    for (const event of events) {
      if (event.type === 'm.room.member' && event.state_key === user) {
        if (event.content.membership !== 'invite') invited.delete(event.room_id)
        else if (self.joins) setImmediate(() => joinQuietly(event.room_id))
        else invited.add(event.room_id)
        if (event.content.membership === 'join') joined.add(event.room_id)
        else joined.delete(event.room_id)
      }
      if (event.sender === user) continue
      if (haveToDevice) await takeToDevice()
      await read(event)
    }
  }
  const joinQuietly = (room: string) => {
    try {
      rooms.join(room, user)
    } catch {
      // Taken back meanwhile.
    }
  }

  const shareKey = async (room: string) => {
    // As clients do: whoever was invited may read from then on.
    const readers = [...rooms.roomOf(room).members].flatMap(([member, value]) =>
      value === 'join' || value === 'invite' ? [member] : [],
    )
    const strangers = readers.filter((member) => !tracked.has(member))
    for (const member of strangers) tracked.add(member)
    if (strangers.length > 0) await olm.updateTrackedUsers(ids(strangers))
    await flush()
    const claim = await olm.getMissingSessions(ids(readers))
    if (claim) await perform(claim as unknown as Request)
    for (const share of await olm.shareRoomKey(new wasm.RoomId(room), ids(readers), new wasm.EncryptionSettings()))
      await perform(share as unknown as Request)
  }

  await flush()
  const bootstrap = await olm.bootstrapCrossSigning(false)
  keys.identify(user, JSON.parse(bootstrap.uploadSigningKeysRequest.body))
  await perform(bootstrap.uploadSignaturesRequest as unknown as Request)

  const self: StubUser = {
    user,
    seen,
    onSeen: undefined,
    get unread() {
      return unread.length
    },
    get joined() {
      return [...joined]
    },
    get invited() {
      return [...invited]
    },
    joins: true,
    send: (room, text, more = {}) => self.sendEvent(room, 'm.room.message', { msgtype: 'm.text', body: text, ...more }),
    sendEvent: (room, type, plain) =>
      alone(async () => {
        if (changed.size > 0 || haveToDevice) await takeToDevice()
        const used = served.get(room)
        if (used === undefined || used >= messagesPerKey) {
          if (used !== undefined) await olm.invalidateGroupSession(new wasm.RoomId(room))
          await shareKey(room)
          served.set(room, 0)
        }
        served.set(room, served.get(room)! + 1)
        const encrypted = await olm.encryptRoomEvent(new wasm.RoomId(room), type, JSON.stringify(plain))
        return rooms.send(room, user, 'm.room.encrypted', JSON.parse(encrypted))
      }),
    createRoom: (invite) =>
      rooms.create(user, {
        initial_state: [
          { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
          { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'invited' } },
        ],
        power_level_content_override: { users: Object.fromEntries([user, ...invite].map((each) => [each, 100])) },
        invite: [...invite],
      }),
    leave: (room) => rooms.leave(room, user),
    newRoomKey: (room) => void served.set(room, messagesPerKey),
    async idle() {
      for (let before: unknown; before !== last; ) {
        before = last
        await last
      }
    },
    take: {
      event(event) {
        queue.push(event)
        if (queue.length === 1) void alone(work)
      },
      toDevice() {
        if (haveToDevice) return
        haveToDevice = true
        void alone(work)
      },
      listsChanged(other) {
        if (tracked.has(other)) changed.add(other)
      },
    },
  }
  return self
}
