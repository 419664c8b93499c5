import { fileURLToPath } from 'node:url'
import { ensurePython } from '../../scripts/support/python.ts'
import type { Synapse } from '../../scripts/support/synapse.ts'
import { startJsonProcess } from './json-process.ts'

export interface NioMessage {
  readonly eventId: string
  readonly room: string
  readonly sender: string
  readonly body: string
  readonly html: string | null
  /** False for one that could not be decrypted; its body is empty then. */
  readonly decrypted: boolean
}

/**
 * matrix-nio: a client with its own state machine in Python and without cross-signing, in a process of its own. It stands
 * for the older and simpler clients.
 */
export interface NioClient extends AsyncDisposable {
  readonly user: string
  readonly device: string
  createRoom(invite: string[]): Promise<string>
  untilJoined(room: string, user: string, timeoutMs?: number): Promise<void>
  send(room: string, body: string): Promise<string>
  typing(room: string, on: boolean): Promise<void>
  /** Who types there. */
  typingIn(room: string): Promise<string[]>
  read(room: string, eventId: string): Promise<void>
  /** The event up to which somebody has read. */
  readUpTo(room: string, user: string): Promise<string | null>
  messages(room: string): Promise<NioMessage[]>
  untilReceived(body: string, timeoutMs?: number): Promise<NioMessage>
  stop(): Promise<void>
}

export interface NioOptions {
  readonly synapse: Pick<Synapse, 'url' | 'registerUser'>
  readonly name: string
  readonly password?: string
}

const program = fileURLToPath(new URL('./nio_client.py', import.meta.url))

/** Installs matrix-nio when it is missing; registers the user, signs in and starts to sync. Joins what it is invited to. */
export async function startNio({ synapse, name, password = 'a password' }: NioOptions): Promise<NioClient> {
  const nio = { folder: 'nio', requirement: 'matrix-nio[e2e]==0.26.0', title: 'the Matrix client matrix-nio 0.26.0' }
  const python = await ensurePython(nio, (line) => console.error(line))
  await synapse.registerUser(name, password)
  const { call, stop } = startJsonProcess(python, [program])
  const start = { url: synapse.url, name, password }
  const { user, device } = await call<{ user: string; device: string }>('start', start)
  return {
    user,
    device,
    createRoom: (invite) => call('create_room', invite),
    untilJoined: (room, other, timeoutMs = 90_000) => call('until_joined', room, other, timeoutMs),
    send: (room, body) => call('send', room, body),
    typing: (room, on) => call('typing', room, on),
    typingIn: (room) => call('typing_in', room),
    read: (room, eventId) => call('read', room, eventId),
    readUpTo: (room, other) => call('read_up_to', room, other),
    messages: (room) => call('messages', room),
    untilReceived: (body, timeoutMs = 90_000) => call('until_received', body, timeoutMs),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
