// The process of matrix-client.ts: matrix-js-sdk, spoken to in lines of JSON.
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClientEvent,
  createClient,
  EventStatus,
  Filter,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  MsgType,
  RoomEvent,
} from 'matrix-js-sdk'
import {
  AllDevicesIsolationMode,
  EventShieldColour,
  EventShieldReason,
  OnlySignedDevicesIsolationMode,
} from 'matrix-js-sdk/lib/crypto-api/index.js'
import { logger } from 'matrix-js-sdk/lib/logger.js'
import { endWithParent } from '../../scripts/support/end-with-parent.ts'
import { serveJson } from './json-process.ts'
import type { ClientMessage, Formatted, SendOptions } from './matrix-client.ts'

endWithParent()
;(logger as unknown as { setLevel(level: string): void }).setLevel('silent')
// Standard output is for answers.
for (const name of ['log', 'info', 'debug', 'trace'] as const) console[name] = () => {}

interface StartOptions {
  readonly url: string
  readonly name: string
  readonly password: string
  readonly autoJoin: boolean
  readonly timelineLimit: number
}

let client: MatrixClient
let storageKey: [string, Uint8Array<ArrayBuffer>] | undefined
const seen: MatrixEvent[] = []
/** What could not be sent, by its transaction id. */
const unsent = new Map<string, MatrixEvent>()
const changed = new EventTarget()
const change = () => changed.dispatchEvent(new Event('change'))

async function until<T>(timeoutMs: number, look: () => T | undefined | false, what: string): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs)
  for (;;) {
    const found = look()
    if (found) return found
    if (deadline.aborted) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await new Promise<void>((resolve) => {
      changed.addEventListener('change', () => resolve(), { once: true, signal: deadline })
      deadline.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}

async function view(event: MatrixEvent): Promise<ClientMessage> {
  const info = event.isEncrypted() ? await client.getCrypto()!.getEncryptionInfoForEvent(event) : null
  const reason = info?.shieldReason ?? null
  return {
    eventId: event.getId()!,
    room: event.getRoomId()!,
    sender: event.getSender()!,
    type: event.getType(),
    content: event.getContent(),
    encrypted: event.isEncrypted(),
    ...(event.isDecryptionFailure() ? { failure: String(event.decryptionFailureReason) } : {}),
    shield: {
      colour: EventShieldColour[info?.shieldColour ?? EventShieldColour.NONE] as 'NONE' | 'GREY' | 'RED',
      reason: reason === null ? null : EventShieldReason[reason]!,
    },
  }
}

const decrypted = (event: MatrixEvent) =>
  !event.isEncrypted() || (!!event.getClearContent() && !event.isDecryptionFailure())

/** A homeserver that is away for a moment must not leave the invitation unanswered. */
async function join(room: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const answer = await client.joinRoom(room).catch(() => undefined)
    if (answer || client.getRoom(room)?.getMyMembership() !== 'invite') return
    await sleep(1000)
  }
}

serveJson({
  async start({ url, name, password, autoJoin, timelineLimit }: StartOptions) {
    const identifier = { type: 'm.id.user', user: name }
    const login = await createClient({ baseUrl: url }).loginRequest({ type: 'm.login.password', identifier, password })
    const { user_id: userId, device_id: deviceId, access_token: accessToken } = login
    client = createClient({
      ...{ baseUrl: url, userId, deviceId, accessToken },
      cryptoCallbacks: {
        getSecretStorageKey: async () => storageKey ?? null,
        cacheSecretStorageKey: (id, _info, key) => {
          storageKey = [id, key]
        },
      },
    })
    await client.initRustCrypto({ useIndexedDB: false })
    const crypto = client.getCrypto()!
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (request) => {
        await request({ type: 'm.login.password', identifier, password } as never)
      },
    })
    client.on(RoomEvent.Timeline, (event) => {
      seen.push(event)
      event.on(MatrixEventEvent.Decrypted, change)
      change()
    })
    client.on(ClientEvent.Sync, change)
    client.on(RoomEvent.LocalEchoUpdated, (event) => {
      const txnId = event.getTxnId()
      if (event.status === EventStatus.NOT_SENT && txnId !== undefined) unsent.set(txnId, event)
    })
    client.on(RoomEvent.MyMembership, (room, membership) => {
      if (membership === 'invite' && autoJoin) void join(room.roomId)
      change()
    })
    // For every sync: `initialSyncLimit` is for the first one only, and later ones would bring ten events of a room at most.
    const filter = new Filter(userId)
    filter.setTimelineLimit(timelineLimit)
    await client.startClient({ initialSyncLimit: timelineLimit, filter })
    await until(90_000, () => client.isInitialSyncComplete(), 'the first sync')
    return { user: userId, device: deviceId }
  },
  async createRoom(options: {
    invite?: string[]
    direct?: boolean
    encrypted?: boolean
    trusted?: boolean
    name?: string
  }) {
    const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
    const { room_id: room } = await client.createRoom({
      preset: (options.trusted ? 'trusted_private_chat' : 'private_chat') as never,
      is_direct: options.direct ?? true,
      invite: options.invite ?? [],
      ...(options.name === undefined ? {} : { name: options.name }),
      initial_state: options.encrypted === false ? [] : [encryption],
    })
    return room
  },
  invite: (room: string, user: string) => client.invite(room, user).then(() => null),
  join: (room: string) => client.joinRoom(room).then(() => null),
  leave: (room: string) => client.leave(room).then(() => null),
  kick: (room: string, user: string) => client.kick(room, user).then(() => null),
  ban: (room: string, user: string) => client.ban(room, user).then(() => null),
  setName: (room: string, name: string) => client.setRoomName(room, name).then(() => null),
  setPower: (room: string, user: string, level: number) => client.setPowerLevel(room, user, level).then(() => null),
  sendState: (room: string, type: string, content: object) =>
    client.sendStateEvent(room, type as never, content as never, '').then(() => null),
  async untilJoined(room: string, user: string, timeoutMs: number) {
    const there = () => {
      const known = client.getRoom(room)
      return known?.getMember(user)?.membership === 'join' && known.hasEncryptionStateEvent()
    }
    await until(timeoutMs, there, 'a member to join')
  },
  invites: () =>
    client
      .getRooms()
      .filter((room) => room.getMyMembership() === 'invite')
      .map((room) => room.roomId),
  joined: () =>
    client
      .getRooms()
      .filter((room) => room.getMyMembership() === 'join')
      .map((room) => room.roomId),
  setDisplayName: (name: string) => client.setDisplayName(name).then(() => null),
  async send(room: string, message: string | Formatted, { replyTo, txnId, insist }: SendOptions) {
    const text = typeof message === 'string' ? { body: message } : { body: message.body }
    const formatted =
      typeof message === 'string' ? {} : { format: 'org.matrix.custom.html', formatted_body: message.html }
    const relation = replyTo === undefined ? {} : { 'm.relates_to': { 'm.in_reply_to': { event_id: replyTo } } }
    const content = { msgtype: MsgType.Text, ...text, ...formatted, ...relation }
    const id = txnId ?? client.makeTxnId()
    for (;;) {
      try {
        const failed = unsent.get(id)
        const sent = failed
          ? client.resendEvent(failed, client.getRoom(room)!)
          : client.sendEvent(room, 'm.room.message' as never, content as never, id)
        return (await sent).event_id
      } catch (error) {
        if (!insist || !unsent.has(id)) throw error
        await sleep(300)
      }
    }
  },
  async sendRaw(room: string, type: string, content: object) {
    return (await client.sendEvent(room, type as never, content as never)).event_id
  },
  async messages(room: string) {
    const events = client.getRoom(room)?.getLiveTimeline().getEvents() ?? []
    const messages = events.filter((event) => !event.isState() && !event.isRedacted())
    await Promise.all(messages.map((event) => event.getDecryptionPromise()))
    return Promise.all(messages.map(view))
  },
  async untilReceived(body: string, room: string | null, timeoutMs: number) {
    const look = () =>
      seen.find(
        (event) =>
          event.getContent().body === body && (room === null || event.getRoomId() === room) && decrypted(event),
      )
    return view(await until(timeoutMs, look, 'a message'))
  },
  state: (room: string, type: string, stateKey: string) =>
    client.getRoom(room)?.currentState.getStateEvents(type, stateKey)?.getContent() ?? null,
  members: (room: string) =>
    (client.getRoom(room)?.getMembers() ?? []).map(({ userId, membership, name }) => ({
      user: userId,
      membership,
      name,
    })),
  async trust(user: string, device: string) {
    const crypto = client.getCrypto()!
    await crypto.getUserDeviceInfo([user], true)
    const [status, identity] = await Promise.all([
      crypto.getDeviceVerificationStatus(user, device),
      crypto.getUserVerificationStatus(user),
    ])
    return {
      signedByOwner: status?.signedByOwner ?? false,
      userVerified: identity.isVerified(),
      identityChanged: identity.needsUserApproval,
    }
  },
  isolate(on: boolean) {
    client
      .getCrypto()!
      .setDeviceIsolationMode(on ? new OnlySignedDevicesIsolationMode() : new AllDevicesIsolationMode(false))
  },
  async setUpRecovery() {
    const crypto = client.getCrypto()!
    const key = await crypto.createRecoveryKeyFromPassphrase()
    await crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => key, setupNewKeyBackup: true })
    return key.encodedPrivateKey
  },
  async untilBackedUp(timeoutMs: number) {
    const crypto = client.getCrypto()!
    const keys = (await crypto.exportRoomKeys()).length
    // The client uploads when it likes to, within ten seconds or so, and says nothing of the last piece.
    for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(500)) {
      if (((await crypto.getKeyBackupInfo())?.count ?? 0) >= keys) return
    }
    throw new Error('the room keys did not get into the backup')
  },
  typing: (room: string, on: boolean) => client.sendTyping(room, on, 30_000).then(() => null),
  async typingIn(room: string) {
    const members = client.getRoom(room)?.getMembers() ?? []
    return members.filter(({ typing, userId }) => typing && userId !== client.getUserId()).map(({ userId }) => userId)
  },
  async read(room: string, eventId: string, privately: boolean) {
    const event = client.getRoom(room)?.findEventById(eventId)
    if (!event) throw new Error('no such event')
    const kind = (privately ? 'm.read.private' : 'm.read') as never
    await client.sendReadReceipt(event, kind, true)
  },
  async readUpTo(room: string, user: string) {
    return client.getRoom(room)?.getEventReadUpTo(user, true) ?? null
  },
  signOut: () => client.logout(true).then(() => null),
  newRoomKey: (room: string) => client.getCrypto()!.forceDiscardSession(room),
})
