import { fileURLToPath } from 'node:url'
import type { Synapse } from '../../scripts/support/synapse.ts'
import { startJsonProcess } from './json-process.ts'

/** A message as the counterpart sees it. */
export interface ClientMessage {
  readonly eventId: string
  readonly room: string
  readonly sender: string
  readonly type: string
  readonly content: Record<string, unknown>
  /** Whether it came encrypted. */
  readonly encrypted: boolean
  /** Why it could not be decrypted (matrix-js-sdk's DecryptionFailureCode). */
  readonly failure?: string
  /** The warning that a client shows beside it. */
  readonly shield: { readonly colour: 'NONE' | 'GREY' | 'RED'; readonly reason: string | null }
}

export interface Trust {
  readonly signedByOwner: boolean
  readonly userVerified: boolean
  /** Whether the user's identity changed since it was first seen. */
  readonly identityChanged: boolean
}

export interface Formatted {
  readonly body: string
  readonly html: string
}

export interface SendOptions {
  readonly replyTo?: string
  readonly txnId?: string
  /** Tries again until the homeserver answers, as people do who see "not sent"; false unless said otherwise. */
  readonly insist?: boolean
}

/** matrix-js-sdk with its Rust cryptography, in a process of its own: an independent device of an independent user. */
export interface MatrixClient extends AsyncDisposable {
  readonly user: string
  readonly device: string
  /**
   * @param encrypted true unless said otherwise
   * @param trusted gives the invited users all power, as clients do for direct chats; false unless said otherwise
   */
  createRoom(options: {
    invite?: string[]
    direct?: boolean
    encrypted?: boolean
    trusted?: boolean
    name?: string
  }): Promise<string>
  invite(room: string, user: string): Promise<void>
  join(room: string): Promise<void>
  leave(room: string): Promise<void>
  kick(room: string, user: string): Promise<void>
  ban(room: string, user: string): Promise<void>
  setName(room: string, name: string): Promise<void>
  /** Gives somebody a power in the room. */
  setPower(room: string, user: string, level: number): Promise<void>
  sendState(room: string, type: string, content: object): Promise<void>
  /** Waits until the room is known to be encrypted and the user has joined it. */
  untilJoined(room: string, user: string, timeoutMs?: number): Promise<void>
  /** Rooms that it is invited to. Invitations are accepted by themselves unless `autoJoin` was set to false. */
  invites(): Promise<string[]>
  /** Rooms that it is in. */
  joined(): Promise<string[]>
  setDisplayName(name: string): Promise<void>
  /** Gives the event id. */
  send(room: string, message: string | Formatted, options?: SendOptions): Promise<string>
  sendRaw(room: string, type: string, content: object): Promise<string>
  /** All messages of the room that came from others or from itself, in the order of the timeline. */
  messages(room: string): Promise<ClientMessage[]>
  /** Waits for a decrypted message with this body, in any room when none is given. */
  untilReceived(body: string, options?: { room?: string; timeoutMs?: number }): Promise<ClientMessage>
  typing(room: string, on: boolean): Promise<void>
  /** Who types there, but itself. */
  typingIn(room: string): Promise<string[]>
  /** Tells, or with `private` only its own devices, that everything up to the event was read. */
  read(room: string, eventId: string, options?: { private?: boolean }): Promise<void>
  /** The event up to which somebody has read. */
  readUpTo(room: string, user: string): Promise<string | null>
  /** The current state of a room by type (and state key). */
  state(room: string, type: string, stateKey?: string): Promise<Record<string, unknown> | null>
  members(room: string): Promise<{ user: string; membership: string; name: string }[]>
  trust(user: string, device: string): Promise<Trust>
  /** With true only devices that their owner has cross-signed take part (MSC4153). */
  isolate(on: boolean): Promise<void>
  /**
   * Keeps the cross-signing keys, and a backup of room keys from now on, on the server, so that a later device of this user
   * is trusted and reads what was said. Gives the recovery key, as people type it.
   */
  setUpRecovery(): Promise<string>
  /** Waits until all room keys are in the backup. */
  untilBackedUp(timeoutMs?: number): Promise<void>
  /** Takes this device out of the account. */
  signOut(): Promise<void>
  /** Whether encrypted messages go out to whoever the rooms' keys are shared with: forces a new room key. */
  newRoomKey(room: string): Promise<void>
  stop(): Promise<void>
}

export interface MatrixClientOptions {
  readonly synapse: Pick<Synapse, 'url' | 'registerUser'>
  readonly name: string
  readonly password?: string
  /** Accepts invitations by itself; true unless said otherwise. */
  readonly autoJoin?: boolean
  /** Events of a room that one sync may bring at most (50); what is more leaves a gap in what is seen. */
  readonly timelineLimit?: number
}

const program = fileURLToPath(new URL('./matrix-client-process.ts', import.meta.url))

/** Registers the user, signs in with a new device, cross-signs it and starts to sync: two to three seconds. */
export async function startMatrixClient(options: MatrixClientOptions): Promise<MatrixClient> {
  const { synapse, name, password = 'a password', autoJoin = true, timelineLimit = 50 } = options
  await synapse.registerUser(name, password)
  const { call, stop } = startJsonProcess(process.execPath, [program])
  const { user, device } = await call<{ user: string; device: string }>('start', {
    url: synapse.url,
    name,
    password,
    autoJoin,
    timelineLimit,
  })
  return {
    user,
    device,
    createRoom: (roomOptions) => call('createRoom', roomOptions),
    invite: (room, other) => call('invite', room, other),
    join: (room) => call('join', room),
    leave: (room) => call('leave', room),
    kick: (room, other) => call('kick', room, other),
    ban: (room, other) => call('ban', room, other),
    setName: (room, called) => call('setName', room, called),
    setPower: (room, other, level) => call('setPower', room, other, level),
    sendState: (room, type, content) => call('sendState', room, type, content),
    untilJoined: (room, other, timeoutMs = 90_000) => call('untilJoined', room, other, timeoutMs),
    invites: () => call('invites'),
    joined: () => call('joined'),
    setDisplayName: (displayName) => call('setDisplayName', displayName),
    send: (room, message, sendOptions = {}) => call('send', room, message, sendOptions),
    sendRaw: (room, type, content) => call('sendRaw', room, type, content),
    typing: (room, on) => call('typing', room, on),
    typingIn: (room) => call('typingIn', room),
    read: (room, eventId, readOptions = {}) => call('read', room, eventId, readOptions.private === true),
    readUpTo: (room, other) => call('readUpTo', room, other),
    messages: (room) => call('messages', room),
    untilReceived: (body, { room, timeoutMs = 90_000 } = {}) => call('untilReceived', body, room ?? null, timeoutMs),
    state: (room, type, stateKey = '') => call('state', room, type, stateKey),
    members: (room) => call('members', room),
    trust: (other, otherDevice) => call('trust', other, otherDevice),
    isolate: (on) => call('isolate', on),
    setUpRecovery: () => call('setUpRecovery'),
    untilBackedUp: (timeoutMs = 90_000) => call('untilBackedUp', timeoutMs),
    signOut: () => call('signOut'),
    newRoomKey: (room) => call('newRoomKey', room),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
