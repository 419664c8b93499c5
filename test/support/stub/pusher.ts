import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ToDeviceMessage } from './keys.ts'
import type { Json, StubEvent } from './rooms.ts'

/** As Synapse has it: so many events, and so many to-device messages, in one transaction. */
const mostEvents = 100
const mostToDevice = 100
/** Wait after a refusal, ms: doubling from the first to the last. Synapse begins at two seconds. */
const firstWaitMs = 50
const longestWaitMs = 1_000

/**
 * Pushes transactions to the appservice, one at a time. A transaction that fails is repeated without its to-device
 * messages, and while the appservice counts as down none are pushed: they stay in the devices' inboxes (as in Synapse).
 */
export function stubPusher({
  url,
  token,
  countsOf,
}: {
  url: string
  token: string
  /** One-time keys left, of the devices that a transaction has messages for. */
  countsOf(messages: readonly ToDeviceMessage[]): Json
}) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  /** Set while the homeserver itself is away. */
  let away: PromiseWithResolvers<void> | undefined
  const events: StubEvent[] = []
  let toDevice: ToDeviceMessage[] = []
  let changed = new Set<string>()
  let down = false
  let running = false
  let stopped = false
  let numbers = 0
  let woken = Promise.withResolvers<void>()

  const put = (id: string, body: string) =>
    new Promise<number>((resolve) => {
      const to = request(`${url}/_matrix/app/v1/transactions/${id}`, {
        method: 'PUT',
        agent,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      })
      to.on('response', (answer) => {
        answer.resume()
        answer.on('end', () => resolve(answer.statusCode ?? 0))
        answer.on('error', () => resolve(0))
      })
      to.on('error', () => resolve(0))
      to.end(body)
    })

  const run = async () => {
    while (!stopped && events.length + toDevice.length + changed.size > 0) {
      const taken = events.splice(0, mostEvents)
      const messages = toDevice.splice(0, mostToDevice)
      const lists = [...changed]
      changed = new Set()
      const id = `t${++numbers}`
      const plain = { events: taken }
      const whole = {
        ...plain,
        to_device: messages,
        'de.sorunome.msc2409.to_device': messages,
        device_one_time_keys_count: countsOf(messages),
        device_lists: { changed: lists, left: [] },
      }
      let wait = firstWaitMs
      for (let first = true; !stopped; first = false) {
        await away?.promise
        if ((await put(id, JSON.stringify(first ? whole : plain))) === 200) break
        down = true
        toDevice = []
        if (away) continue
        woken = Promise.withResolvers()
        await Promise.race([sleep(wait), woken.promise])
        wait = Math.min(wait * 2, longestWaitMs)
      }
      down = false
    }
  }
  const pump = () => {
    if (running || stopped) return
    running = true
    // What comes in one turn goes in one transaction.
    setImmediate(() => {
      void run().finally(() => {
        running = false
        if (events.length + toDevice.length + changed.size > 0) pump()
      })
    })
  }
  return {
    event(event: StubEvent): void {
      events.push(event)
      pump()
    },
    toDevice(message: ToDeviceMessage): void {
      if (down) return
      toDevice.push(message)
      pump()
    },
    listsChanged(user: string): void {
      changed.add(user)
      pump()
    },
    /** Tries again now. */
    wake(): void {
      woken.resolve()
      pump()
    },
    /** The homeserver goes away, or comes back: what was under way is broken off. */
    leave(): void {
      away ??= Promise.withResolvers()
      agent.destroy()
    },
    comeBack(): void {
      away?.resolve()
      away = undefined
    },
    get waiting() {
      return events.length + (running ? 1 : 0)
    },
    stop(): void {
      stopped = true
      away?.resolve()
      woken.resolve()
      agent.destroy()
    },
  }
}

export type StubPusher = ReturnType<typeof stubPusher>
