import { equalBytes } from '../crypto/index.ts'
import { deviceIdOf, type RoomId } from '../identity/index.ts'
import { accountCalls } from './account/account-calls.ts'
import { refillKeyPackages } from './account/key-packages.ts'
import { beginLink } from './account/link.ts'
import { publishManifest } from './account/manifests.ts'
import { register } from './account/register.ts'
import { forgetSentKeys, keepUp, renewEndorsement } from './account/upkeep.ts'
import { backOff, pause } from './connection/pause.ts'
import type { Channel } from './connection/types.ts'
import { type Answer, expect } from './connection/wire.ts'
import { parseAddress, parseRoom } from './connection/wire-values.ts'
import type { Context } from './context.ts'
import { asClientError, ClientError } from './errors.ts'
import { createEvents } from './events.ts'
import { createAcknowledgements } from './rooms/acknowledge.ts'
import { reconcile, selfRoom } from './rooms/reach.ts'
import { roomCalls } from './rooms/room-calls.ts'
import { createSends } from './rooms/sends.ts'
import { createWorkers, type Workers } from './rooms/workers.ts'
import { defaultSettings } from './settings.ts'
import { groupCache } from './state/group-cache.ts'
import { createKeyedMutex } from './state/mutex.ts'
import { ownManifest, pendingCommits, rooms, type SelfRecord, selfRecord, submissions } from './state/records.ts'
import type { Device, DeviceOptions, Storage } from './types.ts'

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
    groupCache: options.groupCache ?? groupCache(settings.cachedGroups),
    events,
    alone: createKeyedMutex(),
    signal: ended.signal,
    watchers: new Set(),
    sends: createSends(),
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
    if (ended.signal.aborted) return
    ended.abort()
    channel?.close()
    const error = new ClientError('closed', 'the device is closed')
    context.sends.end(error)
    life.end(error)
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
    conversationWith: async (target) => room.createDirectRoom(await account.lookUp(target)),
  }
}

/** A registration that was broken off before the provider had the first manifest: without it nobody knows this device. */
async function publishFirstManifest(context: Context): Promise<void> {
  if (await context.storage.transaction((tx) => ownManifest.get(tx))) return
  await publishManifest(context)
}

/** What happens by itself while a device is started: after each log-in, at each event, now and then. */
function createLife(context: Context, workers: Workers, channel: () => Channel | undefined) {
  const { events, settings, signal } = context
  let ready = Promise.withResolvers<void>()
  ready.promise.catch(() => {})
  let keptUp: Promise<unknown> = Promise.resolve()
  let timer: ReturnType<typeof setTimeout> | undefined

  const fault = (error: unknown) => events.tell('fault', asClientError(error, 'storage'))
  /** Repeats what fails for a reason that passes, while the same log-in holds. */
  const insist = async (work: () => Promise<unknown>) => {
    for (let failures = 1; context.online(); failures++) {
      try {
        return await work()
      } catch (error) {
        if (!asClientError(error, 'storage').retry) return fault(error)
        await pause(backOff(failures, settings.retryFirst, settings.retryMost), signal)
      }
    }
  }
  const unlinked = async () => {
    if (context.self.unlinked) return
    context.self.unlinked = true
    await context.storage.transaction((tx) => selfRecord.put(tx, context.self))
    ready.reject(new ClientError('unlinked'))
    channel()?.close()
    events.tell('unlinked')
  }
  const upkeep = async (authenticated: { manifestNumber: number; keyPackages: number }) => {
    if (!(await keepUp(context, authenticated))) return unlinked()
    for (const room of await renewEndorsement(context)) workers.send(room as RoomId)
    await forgetSentKeys(context)
  }
  const opened = async (authenticated: { manifestNumber: number; keyPackages: number }) => {
    events.tell('online', true)
    const resume = { case: 'resume', value: { window: settings.deliveryWindow } } as const
    await insist(async () => expect(await context.request(resume), 'done'))
    await insist(() => upkeep(authenticated))
    if (context.self.kind === 'primary')
      await insist(() => context.alone('self room', () => selfRoom(context, workers)))
    await sendWhatWaits(context, workers)
    clearTimeout(timer)
    timer = setTimeout(() => upkeepNow(), settings.upkeep)
    ;(timer as { unref?: () => void }).unref?.()
  }
  const upkeepNow = () => {
    if (!context.online()) return
    // Authenticating again tells what there is to do; between log-ins the numbers are asked for by doing nothing of it.
    keptUp = insist(() => upkeep({ manifestNumber: 0, keyPackages: settings.keyPackages }))
    timer = setTimeout(() => upkeepNow(), settings.upkeep)
    ;(timer as { unref?: () => void }).unref?.()
  }
  const caughtUp = async () => {
    await workers.idle()
    await keptUp
    await insist(() => context.alone('rooms', () => reconcile(context, workers)))
    ready.resolve()
    events.tell('caughtUp')
  }
  const received = (event: Answer) => {
    switch (event.case) {
      case 'deliver':
        return workers.receive(parseRoom(event.value.room), { what: 'entry', event: event.value })
      case 'welcome':
        return workers.receive(parseRoom(event.value.room), { what: 'welcome', event: event.value })
      case 'roomUpdated':
        return workers.receive(parseRoom(event.value.room), { what: 'update', event: event.value })
      case 'caughtUp':
        return void caughtUp().catch(fault)
      case 'keyPackagesLow': {
        const { available } = event.value
        keptUp = keptUp.then(() => insist(() => refillKeyPackages(context, available)))
        return
      }
      case 'unlinked':
        return void unlinked().catch(fault)
      case 'consentRequested':
        return events.tell('consent', { account: parseAddress(event.value.account), state: 'requested' })
      case 'consentAnswered': {
        const state = event.value.granted ? 'granted' : 'denied'
        return events.tell('consent', { account: parseAddress(event.value.account), state })
      }
    }
  }
  return {
    listeners: {
      onOpen(authenticated: { manifestNumber: number; keyPackages: number }) {
        keptUp = opened(authenticated).catch(fault)
      },
      onEvent(event: Answer) {
        try {
          received(event)
        } catch (error) {
          fault(error)
        }
      },
      onLost() {
        events.tell('online', false)
      },
      onRefused(error: ClientError) {
        ready.reject(error)
        if (error.code === 'unlinked' || error.code === 'not-in-manifest') unlinked().catch(fault)
        else fault(error)
      },
    },
    ready: () => ready.promise,
    end(error: ClientError) {
      clearTimeout(timer)
      ready.reject(error)
      ready = Promise.withResolvers<void>()
      ready.promise.catch(() => {})
      ready.reject(error)
    },
  }
}

/** What was stored and not sent before this log-in: messages, commits, rooms to enter. */
async function sendWhatWaits(context: Context, workers: Workers): Promise<void> {
  const waiting = await context.storage.transaction(async (tx) => {
    const messages = (await submissions.list(tx)).map(({ key }) => key.slice(0, key.indexOf(' ')))
    const commits = (await pendingCommits.list(tx)).map(({ key }) => key)
    const due = (await rooms.list(tx)).filter(({ value }) => value.enter || value.commitDue || value.profileOwed)
    return new Set([...messages, ...commits, ...due.map(({ key }) => key)])
  })
  for (const room of waiting) workers.send(room as RoomId)
}
