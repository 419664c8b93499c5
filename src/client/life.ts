import type { GuestEnd } from '../protocol/index.ts'
import { refillKeyPackages } from './account/key-packages.ts'
import { followProvider } from './account/put-back.ts'
import { forgetSentKeys, keepUp, refreshManifest } from './account/upkeep.ts'
import { backOff, pause } from './connection/pause.ts'
import type { Authenticated, Channel } from './connection/types.ts'
import { type Answer, expect, ProviderRefusal } from './connection/wire.ts'
import { endOf, parseAddress, parseRoom } from './connection/wire-values.ts'
import type { Context } from './context.ts'
import { asClientError, ClientError } from './errors.ts'
import type { Endings } from './guests/endings.ts'
import { guestWaiting, share } from './guests/invites.ts'
import { reconcile, selfRoom } from './rooms/reach.ts'
import { roomsThatWait } from './rooms/waiting.ts'
import type { Workers } from './rooms/workers.ts'
import { eraseAll, selfRecord } from './state/records.ts'

/** What happens by itself while a device is started: after each log-in, at each event, now and then. */
export function createLife(context: Context, workers: Workers, endings: Endings, channel: () => Channel | undefined) {
  const { events, settings, signal } = context
  let ready = Promise.withResolvers<void>()
  ready.promise.catch(() => {})
  let keptUp: Promise<unknown> = Promise.resolve()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Whether it is known that provider and device speak of the same groups: nothing is sent before. */
  let following = false
  let logins = 0
  /** Everything that waited on the present link has been delivered. */
  let caught = false

  const fault = (error: unknown) => events.tell('fault', asClientError(error, 'storage'))
  const holds = (login: number) => login === logins && channel()?.open === true && !signal.aborted
  /** Repeats what fails for a reason that passes, or in the storage, while the same log-in holds: there may be no other. */
  const insist = async (work: () => Promise<unknown>, login = logins) => {
    for (let failures = 1; holds(login); failures++) {
      try {
        return await work()
      } catch (failure) {
        const error = asClientError(failure, 'storage')
        if (!error.retry) fault(error)
        if (!error.retry && error.code !== 'storage') return
        await pause(backOff(failures, settings.retryFirst, settings.retryMost), signal)
      }
    }
  }
  const unlinked = async () => {
    if (context.self.unlinked) return
    context.self.unlinked = true
    await context.storage.transaction((tx) => selfRecord.put(tx, context.self))
    const error = new ClientError('unlinked')
    ready.reject(error)
    context.sends.end(error)
    context.changes.end(error)
    channel()?.close()
    events.tell('unlinked')
  }
  /** A guest's chat has ended: nothing of it stays here. */
  const over = async (reason: GuestEnd) => {
    if (context.self.unlinked) return
    context.self.unlinked = true
    channel()?.close()
    const error = new ClientError('ended')
    ready.reject(error)
    context.sends.end(error)
    await context.storage.transaction(eraseAll)
    events.tell('ended', endOf(reason))
  }
  const upkeep = async (authenticated: Pick<Authenticated, 'manifestNumber' | 'keyPackages'>) => {
    const renewed = await keepUp(context, authenticated)
    if (!renewed) return unlinked()
    for (const room of renewed) workers.send(room)
    await forgetSentKeys(context)
  }
  const opened = async (authenticated: Authenticated) => {
    const login = ++logins
    following = false
    await insist(async () => {
      await followProvider(context, authenticated)
      // One that was overtaken while it waited says nothing of the present link.
      if (login === logins) following = true
    })
    if (login !== logins || !following) return
    events.tell('online', true)
    const resume = { case: 'resume', value: { window: settings.deliveryWindow } } as const
    await insist(async () => expect(await context.request(resume), 'done'), login)
    await insist(() => upkeep(authenticated), login)
    if (context.self.kind === 'primary')
      await insist(() => context.alone('self room', () => selfRoom(context, workers)), login)
    await insist(() => share(context, workers), login)
    workers.wake()
    await insist(() => sendWhatWaits(context, workers), login)
    later()
  }
  /** Between log-ins, when nobody says what there is to do: the supply is told of by itself, the manifest is asked for. */
  const later = () => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      if (!context.online()) return
      keptUp = insist(async () => {
        if (!context.self.accountPrivateKey && !(await refreshManifest(context))) return unlinked()
        await upkeep({ manifestNumber: 0, keyPackages: settings.keyPackages })
      })
      later()
    }, settings.upkeep)
    // No process stays up for this alone; a browser has no such call.
    ;(timer as { unref?: () => void }).unref?.()
  }
  const caughtUp = async () => {
    const login = logins
    await workers.idle()
    await keptUp
    await insist(() => context.alone('rooms', () => reconcile(context, workers)), login)
    if (!holds(login)) return
    ready.resolve()
    caught = true
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
      case 'ephemeral':
        return void context.typing.receive(parseRoom(event.value.room), event.value.frame).catch(fault)
      case 'caughtUp':
        return void caughtUp().catch(fault)
      case 'keyPackagesLow': {
        const { available } = event.value
        keptUp = keptUp.then(() => insist(() => refillKeyPackages(context, available)))
        return
      }
      case 'guestWaiting':
        return void guestWaiting(context, event.value)
          .then((guest) => events.tell('guest', guest))
          .catch(fault)
      case 'chatEnding':
        return void endings.told(event.value)
      case 'guestEnded':
        return void over(event.value.reason).catch(fault)
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
      onOpen(authenticated: Authenticated) {
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
        caught = false
        events.tell('online', false)
      },
      onRefused(error: ClientError) {
        ready.reject(error)
        events.tell('online', false)
        if (error instanceof ProviderRefusal && error.code === 'ended') over(error.ended).catch(fault)
        else if (error.code === 'unlinked' || error.code === 'not-in-manifest') unlinked().catch(fault)
        else fault(error)
      },
    },
    ready: () => ready.promise,
    async resting() {
      if (!context.online() || !caught || workers.busy()) return false
      return (await context.storage.transaction((tx) => roomsThatWait(context, tx))).size === 0 && !workers.busy()
    },
    following: () => following,
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
  const waiting = await context.storage.transaction((tx) => roomsThatWait(context, tx))
  for (const room of waiting) workers.send(room)
}
