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

interface Stored {
  readonly id: number
  readonly events: readonly StubEvent[]
}

/**
 * Pushes transactions to the appservice, one at a time. A transaction that fails is repeated without its to-device
 * messages, and while the appservice counts as down none are pushed: they stay in the devices' inboxes (as in Synapse).
 *
 * Killed, it has what Synapse has: transactions that were stored, which it looks at only after the next one that fails.
 * What was queued is gone, and the next transaction counts on from those that are left.
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
  let held = false
  let numbers = 0
  /** How often it was killed: whatever was under way then is over. */
  let kills = 0
  /** Stored, and not taken by the appservice yet; the oldest first. */
  let stored: Stored[] = []
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

  /** The appservice is down: what is stored goes to it in order until all of it was taken. */
  const recover = async (kill: number) => {
    let wait = firstWaitMs
    while (!stopped && kill === kills && stored.length > 0) {
      await away?.promise
      const [first] = stored
      if (first === undefined || kill !== kills) return
      if ((await put(`t${first.id}`, JSON.stringify({ events: first.events }))) === 200) {
        if (kill === kills) stored.shift()
        wait = firstWaitMs
        continue
      }
      if (away) continue
      woken = Promise.withResolvers()
      await Promise.race([sleep(wait), woken.promise])
      wait = Math.min(wait * 2, longestWaitMs)
    }
  }

  const run = async () => {
    while (!stopped && !held && events.length + toDevice.length + changed.size > 0) {
      if (away) {
        await away.promise
        continue
      }
      const kill = kills
      const taken = events.splice(0, mostEvents)
      const messages = toDevice.splice(0, mostToDevice)
      const lists = [...changed]
      changed = new Set()
      const transaction: Stored = { id: ++numbers, events: taken }
      stored.push(transaction)
      const whole = {
        events: taken,
        to_device: messages,
        'de.sorunome.msc2409.to_device': messages,
        device_one_time_keys_count: countsOf(messages),
        device_lists: { changed: lists, left: [] },
      }
      const accepted = (await put(`t${transaction.id}`, JSON.stringify(whole))) === 200
      if (kill !== kills) continue
      if (accepted) {
        stored = stored.filter((one) => one !== transaction)
        continue
      }
      down = true
      toDevice = []
      await recover(kill)
      if (kill === kills) down = false
    }
  }
  const pump = () => {
    if (running || stopped || held) return
    running = true
    // What comes in one turn goes in one transaction.
    setImmediate(() => {
      void run().finally(() => {
        running = false
        if (!held && events.length + toDevice.length + changed.size > 0) pump()
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
    /**
     * Keeps what is to be pushed in its memory, as behind a transaction that takes its time.
     * @param store whether what is there already is stored as a transaction first
     */
    hold(store: boolean): void {
      held = true
      if (store && events.length > 0) stored.push({ id: ++numbers, events: events.splice(0) })
    },
    release(): void {
      held = false
      pump()
    },
    /** As when a transaction failed: what was stored before goes to the appservice. */
    async retryStored(): Promise<void> {
      await recover(kills)
    },
    /** The homeserver goes away, or comes back: what was under way is broken off. Killed, it forgets what it had queued. */
    leave(killed: boolean): void {
      away ??= Promise.withResolvers()
      agent.destroy()
      if (!killed) return
      kills++
      // While the appservice is down, Synapse stores what comes at once.
      if (down && events.length > 0) stored.push({ id: ++numbers, events: [...events] })
      down = false
      events.splice(0)
      toDevice = []
      changed = new Set()
      numbers = Math.max(0, ...stored.map(({ id }) => id))
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
