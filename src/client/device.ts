import { equalBytes } from '../crypto/index.ts'
import { deviceIdOf } from '../identity/index.ts'
import { accountCalls } from './account/account-calls.ts'
import { beginLink } from './account/link.ts'
import { publishManifest } from './account/manifests.ts'
import { register } from './account/register.ts'
import type { Channel } from './connection/types.ts'
import type { Context } from './context.ts'
import { ClientError } from './errors.ts'
import { createEvents } from './events.ts'
import { createLife } from './life.ts'
import { createAcknowledgements } from './rooms/acknowledge.ts'
import { createChanges } from './rooms/changes.ts'
import { groupCalls } from './rooms/group-calls.ts'
import { roomCalls } from './rooms/room-calls.ts'
import { createSends } from './rooms/sends.ts'
import { createWorkers } from './rooms/workers.ts'
import { defaultSettings } from './settings.ts'
import { groupCache } from './state/group-cache.ts'
import { createKeyedMutex } from './state/mutex.ts'
import { ownManifest, type SelfRecord, selfRecord } from './state/records.ts'
import type { Device, DeviceOptions, GroupCache, Storage } from './types.ts'

/** Whether a storage holds a device that can be opened. */
export async function hasDevice(storage: Storage): Promise<boolean> {
  return storage.transaction(async (tx) => (await selfRecord.get(tx)) !== undefined)
}

/** Makes an account for the holder of an access token, with this as its first device. Errors: see register.ts. */
export async function registerPrimary(options: DeviceOptions & { accessToken: string }): Promise<Device> {
  return createDevice(options, await register(options, options.accessToken))
}

/** The device that a storage holds. Errors: no-device. */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  const self = await options.storage.transaction((tx) => selfRecord.get(tx))
  if (!self) throw new ClientError('no-device')
  return createDevice(options, self)
}

/** A new device of an existing account: shows a code that the primary has to confirm. */
export function startLink(options: DeviceOptions): { code: string; completed: Promise<Device>; cancel(): void } {
  const { code, completed, cancel } = beginLink(options)
  const device = completed.then((self) => createDevice(options, self))
  device.catch(() => {})
  return { code, completed: device, cancel }
}

/** Devices opened in this process so far. */
let openings = 0

/**
 * A share of the cache for one opening of a device: between two openings another process may have had the device, and a
 * group state from before that must not be used again.
 */
function ownShare(cache: GroupCache): GroupCache {
  openings += 1
  const opening = openings
  return {
    size: cache.size,
    get: (key) => cache.get(`${opening} ${key}`),
    set: (key, state) => cache.set(`${opening} ${key}`, state),
    delete: (key) => cache.delete(`${opening} ${key}`),
  }
}

function createDevice(options: DeviceOptions, self: SelfRecord): Device {
  const settings = { ...defaultSettings, ...options.settings }
  const events = createEvents()
  const ended = new AbortController()
  let channel: Channel | undefined
  const context: Context = {
    ...options,
    self,
    deviceId: deviceIdOf(options.crypto, self.deviceKey),
    settings,
    trust: options.trust ?? {
      providerKeys: (provider) => (provider === self.provider ? [self.providerKey] : []),
    },
    groupCache: ownShare(options.groupCache ?? groupCache(settings.cachedGroups)),
    events,
    alone: createKeyedMutex(),
    signal: ended.signal,
    watchers: new Set(),
    sends: createSends(),
    changes: createChanges(),
    clock: options.clock ?? Date.now,
    request(request, requestOptions) {
      if (!channel) return Promise.reject(new ClientError('closed', 'the device is not started'))
      return channel.request(request, requestOptions)
    },
    online: () => channel?.open === true && !ended.signal.aborted,
    step: options.steps ?? (() => {}),
  }
  const workers = createWorkers(context, createAcknowledgements(context))
  const life = createLife(context, workers, () => channel)
  const start = async () => {
    if (channel) return
    if (self.unlinked) throw new ClientError('unlinked')
    await publishFirstManifest(context)
    if (channel || ended.signal.aborted) return
    channel = context.connection.channel({
      deviceId: context.deviceId,
      sign: (bytes) => context.crypto.sign(self.devicePrivateKey, bytes),
      admit: (hello) => {
        const known = context.trust.providerKeys(hello.provider)
        if (hello.provider === self.provider && known.some((key) => equalBytes(key, hello.providerKey))) return
        throw new ClientError('provider-changed')
      },
      ...life.listeners,
    })
  }
  const close = async () => {
    ended.abort()
    channel?.close()
    const error = new ClientError('closed', 'the device is closed')
    context.sends.end(error)
    context.changes.end(error)
    life.end(error)
    await workers.ended()
  }
  const account = accountCalls(context, workers)
  const room = roomCalls(context, workers)
  return {
    address: self.address,
    deviceId: context.deviceId,
    kind: self.kind,
    accountKey: self.accountKey,
    on: events.on,
    start,
    ready: life.ready,
    close,
    [Symbol.asyncDispose]: close,
    ...account,
    ...room,
    ...groupCalls(context, workers),
    conversationWith: async (target) => room.createDirectRoom(await account.lookUp(target)),
  }
}

/** A registration that was broken off before the provider had the first manifest: without it nobody knows this device. */
async function publishFirstManifest(context: Context): Promise<void> {
  if (await context.storage.transaction((tx) => ownManifest.get(tx))) return
  await publishManifest(context)
}
