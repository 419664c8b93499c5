import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a client says of a message that it got. */
export interface MatrixMessage {
  room: string
  eventId: string
  sender: string
  /** Of the content: m.text, m.notice, … */
  type: string
  body: string
  html?: string
  /** The event that this one answers. */
  replyTo?: string
  encrypted: boolean
  /** It could not be decrypted. */
  failed: boolean
  /** What a client draws beside it: none is a message whose sender's device is cross-signed by its owner. */
  shield: 'none' | 'grey' | 'red'
}

export interface MatrixLogin {
  baseUrl: string
  user: string
  password: string
}

/** What the client's process can be asked; each answers with a promise. */
export interface MatrixCommands {
  /** Signs in as a new device, sets up cross-signing, and follows the server from then on. Invites are accepted. */
  login(login: MatrixLogin): { user: string; device: string }
  /** Keeps cross-signing keys and a key backup on the server under a new recovery key, which is the answer. */
  setUpRecovery(): string
  /** A client of today refuses devices that are not cross-signed (MSC4153); true behaves like that. */
  trustSignedOnly(on: boolean): void
  /** An encrypted room with one other user, who is invited. Resolves with its id when the other has joined. */
  openDirectRoom(other: string): string
  createRoom(options: object): string
  invite(room: string, user: string): void
  /** Resolves when the user is in the room and the room is encrypted. */
  untilJoined(room: string, user: string): void
  send(room: string, text: string, options?: { html?: string; replyTo?: string }): string
  state(room: string, type: string, key?: string): object | undefined
  members(room: string): { user: string; name: string; membership: string }[]
  leave(room: string): void
  /** Ends the device on the server too. */
  logout(): void
}

type Asynchronous<T> = {
  [K in keyof T]: T[K] extends (...parameters: infer P) => infer R ? (...parameters: P) => Promise<R> : never
}

export interface MatrixClient extends Asynchronous<MatrixCommands>, AsyncDisposable {
  /** Called for each message of others once it was decrypted, or could not be (again, when that changes). */
  onMessage(listener: (message: MatrixMessage) => void): void
  /** The first message, of those already here and those to come, that fits. Rejects after `timeoutMs`. */
  untilMessage(fits: (message: MatrixMessage) => boolean, timeoutMs?: number): Promise<MatrixMessage>
  stop(): Promise<void>
}

/** How long anything that depends on the server may take. */
const PATIENCE_MS = 60_000

/**
 * A Matrix client that knows nothing of Silta: matrix-js-sdk with its own cryptography, in its own process. It ends with
 * this one.
 */
export function startMatrixClient(): MatrixClient {
  const child = fork(fileURLToPath(new URL('matrix-client-process.ts', import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  const messages: MatrixMessage[] = []
  const listeners = new Set<(message: MatrixMessage) => void>()
  const call = caller(child, (message) => {
    messages.push(message)
    for (const listener of listeners) listener(message)
  })
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((done) => child.once('exit', done))
    child.disconnect()
    await gone
  }
  const api = {
    onMessage: (listener: (message: MatrixMessage) => void) => void listeners.add(listener),
    untilMessage: (fits: (message: MatrixMessage) => boolean, timeoutMs = PATIENCE_MS) =>
      firstFitting(messages, listeners, fits, timeoutMs),
    stop,
    [Symbol.asyncDispose]: stop,
  }
  return new Proxy(api as unknown as MatrixClient, {
    get: (own, name) =>
      name in own || typeof name === 'symbol' || name === 'then'
        ? Reflect.get(own, name)
        : (...parameters: unknown[]) => call(name, parameters),
  })
}

function caller(child: ChildProcess, onMessage: (message: MatrixMessage) => void) {
  const open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let last = 0
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4000)
  })
  child.on('message', (answer: { id?: number; result?: unknown; error?: string; message?: MatrixMessage }) => {
    if (answer.message) return onMessage(answer.message)
    const waiting = open.get(answer.id ?? 0)
    open.delete(answer.id ?? 0)
    if (answer.error !== undefined) waiting?.reject(new Error(answer.error))
    else waiting?.resolve(answer.result)
  })
  child.once('exit', (code) => {
    for (const { reject } of open.values()) reject(new Error(`the Matrix client ended with ${code}: ${complaint}`))
    open.clear()
  })
  return (name: string, parameters: unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      if (!child.connected) return reject(new Error('the Matrix client has ended'))
      const id = ++last
      open.set(id, { resolve, reject })
      child.send({ id, name, parameters })
    })
}

function firstFitting(
  messages: readonly MatrixMessage[],
  listeners: Set<(message: MatrixMessage) => void>,
  fits: (message: MatrixMessage) => boolean,
  timeoutMs: number,
): Promise<MatrixMessage> {
  const here = messages.find(fits)
  if (here) return Promise.resolve(here)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      listeners.delete(listener)
      reject(new Error(`no such message on the Matrix side within ${timeoutMs / 1000} s`))
    }, timeoutMs)
    const listener = (message: MatrixMessage) => {
      if (!fits(message)) return
      clearTimeout(timer)
      listeners.delete(listener)
      resolve(message)
    }
    listeners.add(listener)
  })
}
