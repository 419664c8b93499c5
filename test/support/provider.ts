/**
 * A provider in this process, for tests: hub and gateway over an embedded database, and devices that connect to them
 * through pipes that a test can look into, change and cut.
 */
import assert from 'node:assert/strict'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { openBus } from '../../src/bus/index.ts'
import {
  type Connection,
  connect,
  type Device,
  type DeviceOptions,
  type GuestOptions,
  joinByInvite,
  memoryStorage,
  openDevice,
  type ReceivedMessage,
  registerPrimary,
  type Storage,
  startLink,
} from '../../src/client/index.ts'
import { encodeContent, readText, textMessage } from '../../src/content/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { type HubSettings, openHub } from '../../src/hub/index.ts'
import { openGateway } from '../../src/messenger/index.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import { inProcessPipe } from '../../src/protocol/in-process-pipe.ts'
import {
  type ClientFrame,
  ClientFrameSchema,
  type FramePipe,
  type ServerFrame,
  ServerFrameSchema,
} from '../../src/protocol/index.ts'
import { freshDatabase } from '../../src/store/testing.ts'
import { until } from './until.ts'

export { until } from './until.ts'

/** Looks at frames on their way. What it returns goes on, one or several; undefined: the frame is lost. */
export interface Tap {
  up?(frame: ClientFrame): ClientFrame | undefined
  down?(frame: ServerFrame): ServerFrame | ServerFrame[] | undefined
}

export interface TestDevice {
  device: Device
  storage: Storage
  connection: Connection
  /** Cuts the present link; the connection makes a new one. */
  cut(): void
  /** Looks at the frames of this device from now on. */
  tap: Tap
  /** The device is given up without a word, as by a crash; its storage stays. */
  crash(): Promise<void>
}

type Extra = Partial<DeviceOptions> & {
  tap?: Tap
  before?: (device: Device) => void
  /** Asked before and after each storage transaction; true: the device dies there. */
  dies?: (at: 'before' | 'after') => boolean
}

/** Fast enough for a test, slow enough to be real. */
const quick = { reconnectFirst: 5, reconnectMost: 50, requestTimeout: 5_000 }
const quickDevice = {
  retryFirst: 10,
  retryMost: 200,
  keyPackages: 4,
  keyPackagesLow: 2,
  welcomeWait: 500,
  logWait: 2_000,
}

export async function testProvider(
  settings: { clock?: () => number; hub?: Partial<HubSettings>; networks?: readonly string[] } = {},
) {
  const database = await freshDatabase()
  const mls = await nodeMlsProvider()
  const providerKeyPair = nodeCrypto.generateKeyPair()
  const clock = settings.clock ?? Date.now
  const provider = 'provider.example'
  const hub = openHub({
    database,
    bus: openBus(),
    crypto: nodeCrypto,
    mls,
    provider,
    providerKeyPair,
    subjectKey: nodeCrypto.randomBytes(32),
    clock,
    ...(settings.hub && { settings: settings.hub }),
    ...(settings.networks && { networks: settings.networks }),
  })
  const gateway = openGateway({ hub, crypto: nodeCrypto, clock, verifyToken: async (token) => JSON.parse(token) })
  const opened = new Set<{ connection: Connection; close?: () => Promise<void> }>()

  const wire = (tap: Tap) => {
    const pipes: FramePipe[] = []
    const open = async () => {
      const [ours, theirs] = inProcessPipe()
      gateway.connect(theirs)
      pipes.push(ours)
      return tapped(ours, tap)
    }
    const connection = connect(open, quick)
    opened.add({ connection })
    return { connection, cut: () => pipes.at(-1)?.close(1001) }
  }

  /** Storage and connection die with the device: nothing it still does reaches either. */
  const setUp = (extra: Extra, storage: Storage) => {
    const tap = extra.tap ?? {}
    const { connection, cut } = wire(tap)
    const { tap: _, storage: __, before, dies = () => false, ...rest } = extra
    const never = new Promise<never>(() => {})
    let alive = true
    const lives = (at: 'before' | 'after') => {
      if (alive && dies(at)) alive = false
      return alive
    }
    const mortal: Storage = {
      async transaction(fn) {
        if (!lives('before')) return never
        const result = await storage.transaction(fn)
        return lives('after') ? result : never
      },
      close: () => storage.close(),
    }
    const options: DeviceOptions = {
      connection,
      storage: mortal,
      crypto: nodeCrypto,
      mls,
      clock,
      ...rest,
      settings: { ...quickDevice, ...extra.settings },
    }
    const finish = async (device: Device): Promise<TestDevice> => {
      // What a dead device was doing never ends, so there is no waiting for it.
      const end = () => (alive ? device.close() : void device.close())
      const entry = { connection, close: async () => end() }
      opened.add(entry)
      before?.(device)
      await device.start()
      return {
        device,
        storage,
        connection,
        cut,
        tap,
        async crash() {
          alive = false
          opened.delete(entry)
          await entry.close()
          await connection.close()
        },
      }
    }
    return { options, finish }
  }

  const close = async () => {
    for (const { connection, close } of opened) {
      await close?.()
      await connection.close()
    }
    gateway.drain()
    await hub.close()
    await database.close()
  }

  return {
    hub,
    gateway,
    database,
    provider,
    providerKeyPair,
    mls,
    /** A new account with its first device, started and ready. */
    async register(name: string, extra: Extra & { claims?: object } = {}): Promise<TestDevice> {
      const { claims, ...rest } = extra
      const { options, finish } = setUp(rest, extra.storage ?? memoryStorage())
      const accessToken = JSON.stringify({ subject: name, kind: 'person', ...claims })
      const made = await finish(await registerPrimary({ ...options, accessToken }))
      await made.device.ready()
      return made
    },
    /** The device of a storage again, as after a restart. */
    async reopen(storage: Storage, extra: Extra = {}): Promise<TestDevice> {
      const { options, finish } = setUp(extra, storage)
      return finish(await openDevice(options))
    },
    /** A new device of an account, linked by the code that its primary confirms. */
    async link(primary: Device, extra: Extra = {}): Promise<TestDevice> {
      const { options, finish } = setUp(extra, memoryStorage())
      const { code, completed } = startLink(options)
      await primary.confirmLink(code)
      const made = await finish(await completed)
      await made.device.ready()
      return made
    },
    /** A guest's device, come in by a link. */
    async join(guest: GuestOptions, extra: Extra = {}): Promise<TestDevice> {
      const { options, finish } = setUp(extra, extra.storage ?? memoryStorage())
      return finish(await joinByInvite({ ...options, ...guest }))
    },
    connection: (tap: Tap = {}) => wire(tap).connection,
    cuttable: () => wire({}),
    close,
    [Symbol.asyncDispose]: close,
  }
}

export interface Heard {
  texts: string[]
  messages: ReceivedMessage[]
  /** Codes of faults and of messages that could not be opened. */
  faults: string[]
}

/** Keeps what a device hears from now on. */
export function listen(device: Device): Heard {
  const heard: Heard = { texts: [], messages: [], faults: [] }
  device.on('message', (message) => {
    const text = readText(message.content)
    if (!text) return
    heard.messages.push(message)
    heard.texts.push(text.plain)
  })
  device.on('fault', ({ code, message }) => void heard.faults.push(`${code}: ${message}`))
  device.on('undecryptable', ({ error }) => void heard.faults.push(`${error.code}: ${error.message}`))
  return heard
}

/** The longest text that fits into one message of an account in a room, as the paper computes it. */
export function longestText(sender: string, room: string, messageBytes: number): string {
  const most = messageBytes - 512 - 66 - (messageBytes > 16_384 ? 4 : 2)
  const some = 'x'.repeat(1000)
  const content = encodeContent({ ...textMessage({ plain: some }), salt: new Uint8Array(16), sender, room })
  return 'x'.repeat(most - content.length + some.length)
}

/** Waits until so many texts were heard, and a moment longer: exactly these, in this order. */
export async function expectTexts(heard: Heard, texts: readonly string[]): Promise<void> {
  await until(`${texts.length} texts, got ${heard.texts.length}`, () => heard.texts.length >= texts.length)
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(heard.texts, texts)
}

function tapped(pipe: FramePipe, tap: Tap): FramePipe {
  return {
    get buffered() {
      return pipe.buffered
    },
    send(bytes) {
      const frame = tap.up ? tap.up(fromBinary(ClientFrameSchema, bytes)) : undefined
      if (!tap.up) pipe.send(bytes)
      else if (frame) pipe.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, frame)))
    },
    onFrame: (listener) =>
      pipe.onFrame((bytes) => {
        if (!tap.down) return listener(bytes)
        const frames = tap.down(fromBinary(ServerFrameSchema, bytes)) ?? []
        for (const frame of Array.isArray(frames) ? frames : [frames])
          listener(toBinary(ServerFrameSchema, create(ServerFrameSchema, frame)))
      }),
    onClose: (listener) => pipe.onClose(listener),
    close: (code, reason) => pipe.close(code, reason),
  }
}
