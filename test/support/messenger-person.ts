import { fromBinary } from '@bufbuild/protobuf'
import {
  type ClientError,
  type Connection,
  connect,
  type Device,
  memoryStorage,
  openDevice,
  registerPrimary,
  type Storage,
  startLink,
  webSocketPipe,
} from '../../src/client/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import { type FramePipe, type ServerFrame, ServerFrameSchema } from '../../src/protocol/index.ts'
import { type HeardFromMatrix, hear } from './heard.ts'
import { until } from './until.ts'

/** A device of the messenger in this process, over a WebSocket to a service in another one, with what it hears. */
export interface MessengerPerson extends AsyncDisposable {
  readonly device: Device
  readonly heard: HeardFromMatrix
  /** Codes of faults, of messages that could not be opened, and of refusals. */
  readonly faults: string[]
  readonly storage: Storage
  readonly connection: Connection
  /** What the account was registered with; empty for a linked device. */
  readonly accessToken: string
  close(): Promise<void>
}

export interface PersonOptions {
  /** Whether it is reachable over Matrix; true unless said otherwise. */
  readonly reachable?: boolean
  readonly handle?: string
  /** Sees every frame that arrives. */
  readonly onFrame?: (frame: ServerFrame) => void
}

/** Comes back fast when the service does. */
const quick = { reconnectFirst: 50, reconnectMost: 500, requestTimeout: 60_000 }
const quickDevice = { retryFirst: 50, retryMost: 500 }

/** A new account of the built-in issuer, with its first device, started and ready. */
export async function newPerson(service: string, name: string, options: PersonOptions = {}): Promise<MessengerPerson> {
  const answer = await fetch(`${service}/trial/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  })
  const { token: accessToken } = (await answer.json()) as { token: string }
  const given = parts(service, options)
  const person = await begin(await registerPrimary({ ...given, accessToken }), given, accessToken)
  if (options.reachable !== false) await person.device.setReachable('matrix', true)
  if (options.handle !== undefined) await person.device.setHandle(options.handle)
  return person
}

/** The device anew after its end, on the same storage and connection. */
export async function reopened({ connection, storage, accessToken }: MessengerPerson): Promise<MessengerPerson> {
  const given = { connection, storage, crypto: nodeCrypto, mls: nodeMlsProvider(), settings: quickDevice }
  return begin(await openDevice(given), given, accessToken)
}

/** A further device of the account, linked by the code that it shows. */
export async function linkedDevice(service: string, primary: Device): Promise<MessengerPerson & { code: string }> {
  const given = parts(service, {})
  const { code, completed } = startLink(given)
  // A person takes longer to scan a code than the new device to wait at the meeting place.
  const confirmed = () =>
    primary.confirmLink(code).then(
      () => true,
      (error: ClientError) => error.code !== 'not-found' && Promise.reject(error),
    )
  await until('the new device at the meeting place', confirmed)
  return { ...(await begin(await completed, given, '')), code }
}

function parts(service: string, { onFrame }: PersonOptions) {
  const open = async () => {
    const pipe = await webSocketPipe(`${service.replace(/^http/, 'ws')}/messenger/v1`)
    return onFrame ? overheard(pipe, onFrame) : pipe
  }
  return {
    connection: connect(open, quick),
    storage: memoryStorage(),
    crypto: nodeCrypto,
    mls: nodeMlsProvider(),
    settings: quickDevice,
  }
}

async function begin(
  device: Device,
  { connection, storage }: ReturnType<typeof parts>,
  accessToken: string,
): Promise<MessengerPerson> {
  const faults: string[] = []
  device.on('fault', ({ code, message }) => void faults.push(`fault ${code}: ${message}`))
  device.on('undecryptable', ({ error }) => void faults.push(`undecryptable ${error.code}: ${error.message}`))
  device.on('refused', ({ error }) => void faults.push(`refused ${error.code}`))
  const heard = hear(device)
  await device.start()
  await device.ready()
  const close = async () => {
    await device.close()
    await connection.close()
  }
  return { device, heard, faults, storage, connection, accessToken, close, [Symbol.asyncDispose]: close }
}

function overheard(pipe: FramePipe, onFrame: (frame: ServerFrame) => void): FramePipe {
  return {
    get buffered() {
      return pipe.buffered
    },
    send: (frame) => pipe.send(frame),
    onFrame: (listener) =>
      pipe.onFrame((frame) => {
        onFrame(fromBinary(ServerFrameSchema, frame))
        listener(frame)
      }),
    onClose: (listener) => pipe.onClose(listener),
    close: (code, reason) => pipe.close(code, reason),
  }
}
