// The process behind matrix-client.ts: matrix-js-sdk, told what to do over the channel to the parent, and ending with it.
import {
  ClientEvent,
  createClient,
  EventType,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  Preset,
  RoomEvent,
  RoomMemberEvent,
} from 'matrix-js-sdk'
import type { RoomMessageEventContent } from 'matrix-js-sdk/lib/@types/events.js'
import { AllDevicesIsolationMode, OnlySignedDevicesIsolationMode } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { logger } from 'matrix-js-sdk/lib/logger.js'
import type { MatrixCommands, MatrixLogin, MatrixMessage } from './matrix-client.ts'

/** How long a client waits for another to join. */
const JOIN_PATIENCE_MS = 60_000

for (const level of ['trace', 'debug', 'info', 'warn', 'log'] as const) {
  console[level] = () => {}
  ;(logger as unknown as Record<string, () => void>)[level] = () => {}
}

let client: MatrixClient
let password = ''
let secretStorageKey: [string, Uint8Array<ArrayBuffer>] | undefined

const crypto = () => {
  const api = client.getCrypto()
  if (!api) throw new Error('not signed in')
  return api
}

const commands: {
  [K in keyof MatrixCommands]: (...p: Parameters<MatrixCommands[K]>) => Promise<ReturnType<MatrixCommands[K]>>
} = {
  async login(login) {
    client = await signIn(login)
    password = login.password
    await client.initRustCrypto({ useIndexedDB: false })
    await crypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: confirmWithPassword })
    client.on(RoomEvent.Timeline, (event) => void report(event))
    client.on(MatrixEventEvent.Decrypted, (event) => void report(event))
    client.on(RoomEvent.MyMembership, (room, membership) => {
      if (membership === 'invite') void client.joinRoom(room.roomId)
    })
    await client.startClient({ initialSyncLimit: 20 })
    await new Promise<void>((done) => client.once(ClientEvent.Sync, () => done()))
    return { user: client.getUserId() ?? '', device: client.getDeviceId() ?? '' }
  },
  async setUpRecovery() {
    const key = await crypto().createRecoveryKeyFromPassphrase()
    await crypto().bootstrapSecretStorage({ createSecretStorageKey: async () => key, setupNewKeyBackup: true })
    return key.encodedPrivateKey ?? ''
  },
  async trustSignedOnly(on) {
    crypto().setDeviceIsolationMode(on ? new OnlySignedDevicesIsolationMode() : new AllDevicesIsolationMode(false))
  },
  async openDirectRoom(other) {
    const { room_id: room } = await client.createRoom({
      preset: Preset.TrustedPrivateChat,
      is_direct: true,
      invite: [other],
      initial_state: [
        { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    await commands.untilJoined(room, other)
    return room
  },
  async createRoom(options) {
    return (await client.createRoom(options)).room_id
  },
  async invite(room, user) {
    await client.invite(room, user)
  },
  async untilJoined(room, user) {
    const joined = () => client.getRoom(room)?.getMember(user)?.membership === 'join'
    const ready = () => joined() && client.getRoom(room)?.hasEncryptionStateEvent() === true
    if (ready()) return
    await new Promise<void>((done, fail) => {
      const timer = setTimeout(() => fail(new Error('the other user did not join')), JOIN_PATIENCE_MS)
      const look = () => {
        if (!ready()) return
        clearTimeout(timer)
        client.off(RoomMemberEvent.Membership, look)
        client.off(ClientEvent.Sync, look)
        done()
      }
      client.on(RoomMemberEvent.Membership, look)
      client.on(ClientEvent.Sync, look)
    })
  },
  async send(room, text, { html, replyTo } = {}) {
    const content = {
      msgtype: 'm.text',
      body: text,
      ...(html ? { format: 'org.matrix.custom.html', formatted_body: html } : {}),
      ...(replyTo ? { 'm.relates_to': { 'm.in_reply_to': { event_id: replyTo } } } : {}),
    }
    return (await client.sendMessage(room, content as unknown as RoomMessageEventContent)).event_id
  },
  async state(room, type, key = '') {
    return client.getRoom(room)?.currentState.getStateEvents(type, key)?.getContent()
  },
  async members(room) {
    const all = client.getRoom(room)?.getMembers() ?? []
    return all.map(({ userId, name, membership }) => ({ user: userId, name, membership: membership ?? '' }))
  },
  async leave(room) {
    await client.leave(room)
  },
  async logout() {
    await client.logout(true)
  },
}

async function signIn({ baseUrl, user, password }: MatrixLogin): Promise<MatrixClient> {
  const identifier = { type: 'm.id.user', user }
  const login = await createClient({ baseUrl }).loginRequest({ type: 'm.login.password', identifier, password })
  return createClient({
    baseUrl,
    userId: login.user_id,
    accessToken: login.access_token,
    deviceId: login.device_id,
    cryptoCallbacks: {
      getSecretStorageKey: async () => secretStorageKey ?? null,
      cacheSecretStorageKey: (id, _info, key) => {
        secretStorageKey = [id, key]
      },
    },
  })
}

async function confirmWithPassword<T>(make: (confirmation: never) => Promise<T>): Promise<void> {
  const identifier = { type: 'm.id.user', user: client.getUserId() }
  await make({ type: 'm.login.password', identifier, password } as never)
}

/** Tells the parent of a message of somebody else, once it has been decrypted or could not be. */
async function report(event: MatrixEvent): Promise<void> {
  if (event.getSender() === client.getUserId() || event.isBeingDecrypted()) return
  const waits = event.getType() === EventType.RoomMessageEncrypted && !event.isDecryptionFailure()
  if (waits || !['m.room.message', EventType.RoomMessageEncrypted].includes(event.getType())) return
  const { body = '', msgtype = '', formatted_body: html } = event.getContent()
  const replyTo = event.getContent()['m.relates_to']?.['m.in_reply_to']?.event_id
  const info = event.isEncrypted() ? await crypto().getEncryptionInfoForEvent(event) : null
  const message: MatrixMessage = {
    room: event.getRoomId() ?? '',
    eventId: event.getId() ?? '',
    sender: event.getSender() ?? '',
    type: msgtype,
    body,
    ...(html === undefined ? {} : { html }),
    ...(replyTo === undefined ? {} : { replyTo }),
    encrypted: event.isEncrypted(),
    failed: event.isDecryptionFailure(),
    shield: (['none', 'grey', 'red'] as const)[info?.shieldColour ?? 0] ?? 'none',
  }
  process.send?.({ message })
}

process.on(
  'message',
  async ({ id, name, parameters }: { id: number; name: keyof MatrixCommands; parameters: never[] }) => {
    try {
      const command = commands[name] as (...all: never[]) => Promise<unknown>
      process.send?.({ id, result: await command(...parameters) })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? `${name}: ${error.message}` : String(error) })
    }
  },
)
process.on('disconnect', () => process.exit(0))
