import { authenticationBytes } from '../../protocol/index.ts'
import { asClientError, ClientError } from '../errors.ts'
import { backOff, pause } from './pause.ts'
import type { Channel, ChannelOptions, ConnectionSettings, Link } from './types.ts'
import { type Answer, expect } from './wire.ts'

interface Slot {
  options: ChannelOptions
  /** Set while the provider knows the device on the present link. */
  open?: { link: Link; channel: number }
  refused?: ClientError
  /** Reject what is under way when the channel is closed here. */
  underWay: Set<(error: ClientError) => void>
  waiters: Set<{ resolve(open: { link: Link; channel: number }): void; reject(error: ClientError): void }>
}

/** The devices of a connection: each is authenticated on every link, a bounded number at a time. */
export function createChannels(settings: ConnectionSettings, ended: AbortSignal) {
  const slots = new Set<Slot>()
  const byNumber = new Map<number, Slot>()
  let link: Link | undefined
  const queue: (() => Promise<void>)[] = []
  let running = 0

  const run = () => {
    while (running < settings.authentications && queue.length > 0) {
      running++
      queue.shift()!().finally(() => {
        running--
        run()
      })
    }
  }

  const refuse = (slot: Slot, error: ClientError) => {
    slot.refused = error
    for (const waiter of slot.waiters) waiter.reject(error)
    slot.options.onRefused(error)
  }

  const authenticate = async (slot: Slot, on: Link, failures = 0): Promise<void> => {
    if (link !== on || !slots.has(slot) || slot.open || slot.refused) return
    const { deviceId } = slot.options
    try {
      slot.options.admit?.(on.hello)
      const signature = slot.options.sign(authenticationBytes(on.hello.challenge, on.hello.provider, deviceId))
      const request = { case: 'authenticate', value: { deviceId, signature } } as const
      const answer = expect(await on.send(0, request, settings.requestTimeout), 'authenticated')
      if (link !== on || !slots.has(slot)) return
      slot.open = { link: on, channel: answer.channel }
      byNumber.set(answer.channel, slot)
      const { manifestNumber, keyPackages, incarnation } = answer
      slot.options.onOpen({
        manifestNumber: Number(manifestNumber),
        keyPackages,
        incarnation: Number(incarnation),
      })
      for (const waiter of [...slot.waiters]) waiter.resolve(slot.open)
    } catch (failure) {
      const error = asClientError(failure, 'protocol')
      if (link !== on || !slots.has(slot)) return
      // A provider that was put back from a backup learns of the device when the account's primary comes.
      if (!error.retry && error.code !== 'unauthenticated') return refuse(slot, error)
      const wait = Math.max(error.retryAfterMs, backOff(failures + 1, settings.reconnectFirst, settings.reconnectMost))
      pause(wait, ended).then(() => begin(slot, on, failures + 1))
    }
  }
  const begin = (slot: Slot, on: Link, failures = 0) => {
    queue.push(() => authenticate(slot, on, failures))
    run()
  }

  const opened = (slot: Slot): Promise<{ link: Link; channel: number }> => {
    if (slot.open) return Promise.resolve(slot.open)
    if (slot.refused) return Promise.reject(slot.refused)
    if (!slots.has(slot) || ended.aborted) return Promise.reject(new ClientError('closed', 'the channel is closed'))
    return new Promise((resolve, reject) => {
      const finish = (then: () => void) => {
        clearTimeout(timer)
        slot.waiters.delete(waiter)
        then()
      }
      const late = () => finish(() => reject(new ClientError('disconnected', 'not connected in time')))
      const timer = setTimeout(late, settings.requestTimeout)
      const waiter: Slot['waiters'] extends Set<infer W> ? W : never = {
        resolve: (open) => finish(() => resolve(open)),
        reject: (error) => finish(() => reject(error)),
      }
      slot.waiters.add(waiter)
    })
  }

  const lose = (slot: Slot) => {
    if (!slot.open) return
    byNumber.delete(slot.open.channel)
    delete slot.open
    slot.options.onLost()
  }

  const closed = new ClientError('closed', 'the channel is closed')
  ended.addEventListener('abort', () => {
    for (const slot of slots) for (const waiter of [...slot.waiters]) waiter.reject(closed)
  })

  return {
    linkUp(next: Link) {
      link = next
      for (const slot of slots) begin(slot, next)
    },
    linkDown() {
      link = undefined
      byNumber.clear()
      for (const slot of slots) lose(slot)
    },
    event(channel: number, body: Answer) {
      const slot = byNumber.get(channel)
      // The provider's last word on a channel: the same device has logged in elsewhere.
      if (slot && body.case === 'error') {
        lose(slot)
        refuse(slot, new ClientError('storage-in-use', 'the device has logged in elsewhere'))
      } else slot?.options.onEvent(body)
    },
    add(options: ChannelOptions): Channel {
      const slot: Slot = { options, underWay: new Set(), waiters: new Set() }
      slots.add(slot)
      if (link) begin(slot, link)
      return {
        get open() {
          return slot.open !== undefined
        },
        async request(request, requestOptions) {
          const { link: on, channel } = await opened(slot)
          if (!slots.has(slot)) throw closed
          try {
            return await unlessClosed(slot, on.send(channel, request, settings.requestTimeout, requestOptions))
          } catch (error) {
            // The provider forgot the channel while the link is up: authenticate again, the caller may repeat.
            if (error instanceof ClientError && error.code === 'unauthenticated' && slot.open?.channel === channel) {
              lose(slot)
              begin(slot, on)
            }
            throw error
          }
        },
        close() {
          if (!slots.delete(slot)) return
          for (const waiter of [...slot.waiters]) waiter.reject(closed)
          for (const giveUp of slot.underWay) giveUp(closed)
          if (!slot.open) return
          byNumber.delete(slot.open.channel)
          const { link: on, channel } = slot.open
          on.send(channel, { case: 'closeChannel', value: {} }, settings.requestTimeout).catch(() => {})
        },
      }
    },
  }
}

/**
 * What `work` comes to, or `closed` when the channel is closed before. No race with a promise of the channel: that would
 * keep every answer for as long as the channel lives.
 */
function unlessClosed<T>({ underWay }: Slot, work: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  underWay.add(reject)
  work.then(resolve, reject).finally(() => underWay.delete(reject))
  return promise
}
