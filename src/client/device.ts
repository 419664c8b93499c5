import { equalBytes } from '../crypto/index.ts'
import { accountCalls } from './account/account-calls.ts'
import { beginLink } from './account/link.ts'
import { publishManifest } from './account/manifests.ts'
import { personCalls } from './account/person-calls.ts'
import { followStorage } from './account/put-back.ts'
import { register } from './account/register.ts'
import type { Channel } from './connection/types.ts'
import type { Context } from './context.ts'
import { ClientError } from './errors.ts'
import { createEndings } from './guests/endings.ts'
import { enterAwaited, inviteCalls } from './guests/invites.ts'
import { join } from './guests/join.ts'
import { createLife } from './life.ts'
import { makeContext } from './make-context.ts'
import { createAcknowledgements } from './rooms/acknowledge.ts'
import { groupCalls } from './rooms/group-calls.ts'
import { roomCalls } from './rooms/room-calls.ts'
import { createWorkers } from './rooms/workers.ts'
import { ownManifest, type SelfRecord, selfRecord } from './state/records.ts'
import type { Device, DeviceOptions, GuestOptions, Storage } from './types.ts'

/** Whether a storage holds a device that can be opened. */
export async function hasDevice(storage: Storage): Promise<boolean> {
  return storage.transaction(async (tx) => (await selfRecord.get(tx)) !== undefined)
}

/** Makes an account for the holder of an access token, with this as its first device. Errors: see register.ts. */
export async function registerPrimary(options: DeviceOptions & { accessToken: string }): Promise<Device> {
  return createNew(options, await register(options, options.accessToken))
}

/** The device that a storage holds. Errors: no-device. */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  const self = await options.storage.transaction((tx) => selfRecord.get(tx))
  if (!self) throw new ClientError('no-device')
  await followStorage(options.storage, options.incarnation ?? 0)
  return createDevice(options, self)
}

/** A new device of an existing account: shows a code that the primary has to confirm. */
export function startLink(options: DeviceOptions): { code: string; completed: Promise<Device>; cancel(): void } {
  const { code, completed, cancel } = beginLink(options)
  const device = completed.then((self) => createNew(options, self))
  device.catch(() => {})
  return { code, completed: device, cancel }
}

/**
 * Comes in by a link, as a guest: a device with one room, which `rooms()` gives. Errors: see guests/join.ts. With the same
 * storage and link it goes on where it was broken off.
 */
export async function joinByInvite(options: DeviceOptions & GuestOptions): Promise<Device> {
  return createNew(options, await join(options))
}

/** A device without rooms: its storage is as its owner says it is. */
async function createNew(options: DeviceOptions, self: SelfRecord): Promise<Device> {
  await followStorage(options.storage, options.incarnation ?? 0)
  return createDevice(options, self)
}

function createDevice(options: DeviceOptions, self: SelfRecord): Device {
  const ended = new AbortController()
  let channel: Channel | undefined
  const context = makeContext(options, self, {
    signal: ended.signal,
    request(request, requestOptions) {
      if (!channel) return Promise.reject(new ClientError('closed', 'the device is not started'))
      return channel.request(request, requestOptions)
    },
    online: () => channel?.open === true && life.following() && !ended.signal.aborted,
  })
  const workers = createWorkers(context, createAcknowledgements(context))
  context.hooks.invitesLearned = () => enterAwaited(context, workers)
  context.hooks.send = workers.send
  const endings = createEndings(context)
  const life = createLife(context, workers, endings, () => channel)
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
    context.receipts.end()
    context.typing.end()
    life.end(error)
    await workers.ended()
  }
  const person = personCalls(context, workers)
  const room = roomCalls(context, workers)
  return {
    address: self.address,
    deviceId: context.deviceId,
    kind: self.kind,
    accountKey: self.accountKey,
    on: context.events.on,
    start,
    ready: life.ready,
    resting: life.resting,
    close,
    [Symbol.asyncDispose]: close,
    ...accountCalls(context),
    ...person,
    ...room,
    ...groupCalls(context, workers),
    ...inviteCalls(context, workers),
    extendChat: endings.extend,
    conversationWith: async (target) => room.createDirectRoom(await person.lookUp(target)),
  }
}

/** A registration that was broken off before the provider had the first manifest: without it nobody knows this device. */
async function publishFirstManifest(context: Context): Promise<void> {
  if (await context.storage.transaction((tx) => ownManifest.get(tx))) return
  await publishManifest(context)
}
