import * as wasm from '@matrix-org/matrix-sdk-crypto-wasm'
import { isStoreError } from '../../../store/index.ts'
import type { Also, OpenStore } from './crypto-store.ts'
import { GhostError } from './errors.ts'

/** One Olm machine over its store, with what keeps it from hanging or from working on when its state is not durable. */
export interface Machine {
  readonly user: string
  readonly device: string
  /** Set once it must not be used any more: a commit failed or a call hung. */
  readonly broken: boolean
  /**
   * One call into Rust, or several; the result is given when all that they changed is durable. What Rust itself refuses is passed on as it is (it may name users: never log it).
   * @param also what is made durable in the same transaction, given the result
   * @throws GhostError `timeout`, `store`, `lease-lost`: the machine is broken then
   */
  call<T>(work: (olm: wasm.OlmMachine) => Promise<T>, also?: (result: T) => Also | undefined): Promise<T>
  /** A call that tells the machine of others: their devices, keys or sessions. As `call`. */
  tell<T>(work: (olm: wasm.OlmMachine) => Promise<T>): Promise<T>
  /** How often it was told, counted when a telling begins and when it ends: the same number means that nothing has changed. */
  readonly told: number
  close(): void
}

export interface MachineOptions {
  readonly user: string
  readonly device: string
  /** 32 bytes. The machine encrypts its records and the names of their keys (rooms, users) with it. */
  readonly storeKey: Uint8Array
  readonly store: OpenStore
  readonly timeoutMs: number
  readonly onRoomKey: (room: string, sessionId: string) => void
  readonly onDevices: (users: readonly string[]) => void
}

/** Rust logs name users, rooms and devices: none of it is taken. */
const silent = { debug() {}, info() {}, warn() {}, error() {} }

export async function openMachine(options: MachineOptions): Promise<Machine> {
  const { user, device, store, timeoutMs } = options
  await wasm.initAsync()
  const opening = async () => {
    const handle = await wasm.StoreHandle.openWithKey(store.name, options.storeKey, silent)
    const olm = await wasm.OlmMachine.initFromStore(new wasm.UserId(user), new wasm.DeviceId(device), handle, silent)
    await store.flush()
    return olm
  }
  let broken = false
  let told = 0
  const judge = (error: unknown): never => {
    if (error instanceof TimedOut) {
      broken = true
      throw new GhostError('timeout', true)
    }
    if (store.fault !== undefined) {
      broken = true
      throw new GhostError(isStoreError(store.fault, 'lease-lost') ? 'lease-lost' : 'store', true)
    }
    throw error
  }
  // Also after a refusal: what Rust had changed until then must not be given out by another call first.
  const durably = async <T>(result: Promise<T>, also: ((result: T) => Also | undefined) | undefined): Promise<T> => {
    const writes = await result.then(
      (made) => also?.(made),
      () => undefined,
    )
    await store.flush(writes)
    return result
  }
  const olm = await within(timeoutMs, opening()).catch(judge)
  await olm.registerRoomKeyUpdatedCallback(async (keys) => {
    for (const key of keys) options.onRoomKey(key.roomId.toString(), key.sessionId)
  })
  await olm.registerDevicesUpdatedCallback(async (users) => options.onDevices(users))
  const call: Machine['call'] = async (work, also) => {
    if (store.fault !== undefined) judge(store.fault)
    if (broken) throw new GhostError('timeout', true)
    return within(timeoutMs, durably(work(olm), also)).catch(judge)
  }
  return {
    user,
    device,
    get broken() {
      return broken || store.fault !== undefined
    },
    get told() {
      return told
    },
    call,
    async tell(work) {
      told++
      try {
        return await call(work)
      } finally {
        told++
      }
    },
    close() {
      try {
        olm.close()
      } catch {
        // A call that hangs still borrows it; its memory goes with the process.
      }
      store.close()
    },
  }
}

class TimedOut extends Error {}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimedOut()), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Fresh each time: Rust consumes those that it is given in an array. */
export const userIds = (users: Iterable<string>): wasm.UserId[] => [...users].map((user) => new wasm.UserId(user))
