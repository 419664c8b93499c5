import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Connection,
  connect,
  type Device,
  groupCache,
  memoryStorage,
  openDevice,
  registerPrimary,
  type Storage,
  webSocketPipe,
} from '../src/client/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { stubHomeserver } from '../test/support/stub/index.ts'
import type { BenchOptions } from './options.ts'
import { startMeasured } from './service.ts'

export interface Connections {
  /** Connected at once, each over a WebSocket of its own, with nothing happening. */
  readonly devices: number
  /** Bytes for each of them, when everything that can be freed was. */
  readonly resident: number
  readonly heap: number
}

/** Devices that register, or connect, at once. */
const atOnce = 8
/** Of those that connect, the share that does so before anything is counted: the first make the service warm. */
const firstShare = 0.1
/** What follows a connection (reports, KeyPackages) is over after so long. */
const settleMs = 3_000

/**
 * What a connected device costs that says nothing, each of an account of its own. They are registered first, and the
 * service starts anew in between, so that what registering took is not counted. On the embedded database.
 */
export async function measureConnections(
  options: BenchOptions,
  progress: (line: string) => void,
): Promise<Connections> {
  const counted = options.quick ? 100 : 2_000
  const first = Math.ceil(counted * firstShare)
  await using stub = await stubHomeserver({ keep: false, keepEvents: 10 })
  await using service = await startMeasured(stub, undefined)
  const shared = { crypto: nodeCrypto, mls: nodeMlsProvider(), groupCache: groupCache(64) }
  const open = () => connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`))
  const begin = async (make: (connection: Connection) => Promise<Device>) => {
    const connection = open()
    const device = await make(connection)
    await device.start()
    await device.ready()
    return async () => {
      await device.close()
      await connection.close()
    }
  }

  const storages: Storage[] = []
  await inTurns(counted + first, async (number) => {
    const answer = await fetch(`${service.url}/trial/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: `person-${number}` }),
    })
    const { token: accessToken } = (await answer.json()) as { token: string }
    const storage = memoryStorage()
    const close = await begin((connection) => registerPrimary({ ...shared, connection, storage, accessToken }))
    await close()
    storages.push(storage)
    if (storages.length % 500 === 0) progress(`connections: ${storages.length} accounts are registered`)
  })
  await service.restart()

  const closing: (() => Promise<void>)[] = []
  try {
    const come = (count: number) =>
      inTurns(count, async () => {
        const storage = storages.pop()!
        closing.push(await begin((connection) => openDevice({ ...shared, connection, storage })))
      })
    const settled = async () => {
      await sleep(settleMs)
      return service.memory()
    }
    await come(first)
    const before = await settled()
    await come(counted)
    const after = await settled()
    return {
      devices: counted,
      resident: (after.memory - before.memory) / counted,
      heap: (after.heap - before.heap) / counted,
    }
  } finally {
    for (const close of closing) await close()
  }
}

/** So many pieces of work, some at once. */
async function inTurns(count: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0
  const turn = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, turn))
}
