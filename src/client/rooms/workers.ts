import type { RoomId } from '../../identity/index.ts'
import type { Deliver, RoomUpdated, WelcomeEvent } from '../../protocol/index.ts'
import { backOff, pause } from '../connection/pause.ts'
import type { Context } from '../context.ts'
import { asClientError } from '../errors.ts'
import { inRoom } from '../state/room-work.ts'
import type { Acknowledgements } from './acknowledge.ts'
import { receiveWelcome } from './enter.ts'
import { sendAll } from './outbox.ts'
import { receiveEntry } from './receive.ts'
import { receiveUpdate } from './standing.ts'

export type Arrival =
  | { what: 'entry'; event: Deliver }
  | { what: 'welcome'; event: WelcomeEvent }
  | { what: 'update'; event: RoomUpdated }

interface Worker {
  inbox: Arrival[]
  receiving: boolean
  sending: boolean
  sendAgain: boolean
  /** Wake those who wait for the log, and those who sleep until they try again. */
  waiting: Set<() => void>
  sleeping: Set<() => void>
}

export interface Workers {
  /** Takes something of a room in, after what came before it. */
  receive(room: RoomId, arrival: Arrival): void
  /** Looks whether the room has something to send. */
  send(room: RoomId): void
  /** The device has logged in again: who waits to try again need not. */
  wake(): void
  /** Resolves when everything that came in has been processed. */
  idle(): Promise<void>
  /** Whether something of a room is being taken in or sent. */
  busy(): boolean
  /** Resolves when nothing is under way any more; after the device's end only. */
  ended(): Promise<void>
}

/** What is under way in each room. A room in which nothing is under way costs nothing. */
export function createWorkers(context: Context, acknowledge: Acknowledgements): Workers {
  const workers = new Map<RoomId, Worker>()
  const idleWaiters = new Set<() => void>()
  const running = new Set<Promise<void>>()
  const keep = (work: Promise<void>) => {
    const kept = work.finally(() => running.delete(kept))
    running.add(kept)
  }

  const workerOf = (room: RoomId): Worker => {
    const found = workers.get(room)
    if (found) return found
    const worker: Worker = {
      inbox: [],
      receiving: false,
      sending: false,
      sendAgain: false,
      waiting: new Set(),
      sleeping: new Set(),
    }
    workers.set(room, worker)
    return worker
  }
  const rest = (room: RoomId, worker: Worker) => {
    if (!worker.receiving && !worker.sending) workers.delete(room)
    if ([...workers.values()].some(({ receiving }) => receiving)) return
    for (const resolve of idleWaiters) resolve()
    idleWaiters.clear()
  }
  const changed = (worker: Worker) => {
    for (const resolve of [...worker.waiting]) resolve()
  }

  /** One transaction for many entries, so that a busy room costs few commits. */
  const receiveBatch = async (room: RoomId, batch: readonly Arrival[]) => {
    for (const _ of batch) await context.step('client.received')
    await inRoom(context, room, async (work) => {
      for (const arrival of batch) {
        if (arrival.what === 'entry') await receiveEntry(context, work, arrival.event)
        else if (arrival.what === 'welcome') await receiveWelcome(context, work, arrival.event)
        else await receiveUpdate(context, work, arrival.event)
      }
    })
    await context.step('client.stored')
    for (const { what, event } of batch) {
      if (what === 'entry') acknowledge.entry(room, event.seq)
      else if (what === 'welcome') acknowledge.welcome(event.welcomeId)
    }
  }

  const receiveAll = async (room: RoomId, worker: Worker) => {
    let failures = 0
    while (worker.inbox.length > 0 && !context.signal.aborted) {
      // After a failure one at a time, so that what goes well is not undone by what does not.
      const batch = worker.inbox.slice(0, failures > 0 ? 1 : context.settings.receiveBatch)
      try {
        await receiveBatch(room, batch)
        worker.inbox.splice(0, batch.length)
        failures = 0
        changed(worker)
      } catch (error) {
        failures++
        context.events.tell('fault', asClientError(error, 'handler'))
        const { retryFirst, retryMost } = context.settings
        await pause(backOff(failures, retryFirst, retryMost), context.signal)
      }
    }
  }

  const send = (room: RoomId) => {
    if (!context.online() || context.signal.aborted) return
    const worker = workerOf(room)
    worker.sendAgain = true
    if (worker.sending) return
    worker.sending = true
    const run = async () => {
      while (worker.sendAgain && context.online()) {
        worker.sendAgain = false
        await sendAll(context, room, {
          changed: (milliseconds) => waitIn(worker.waiting, milliseconds, context.signal),
          sleep: (milliseconds) => waitIn(worker.sleeping, milliseconds, context.signal),
        })
      }
    }
    keep(
      run()
        .catch((error: unknown) => context.events.tell('fault', asClientError(error, 'storage')))
        .finally(() => {
          worker.sending = false
          rest(room, worker)
        }),
    )
  }

  return {
    receive(room, arrival) {
      const worker = workerOf(room)
      worker.inbox.push(arrival)
      if (worker.receiving) return
      worker.receiving = true
      keep(
        receiveAll(room, worker).finally(() => {
          worker.receiving = false
          rest(room, worker)
          send(room)
        }),
      )
    },
    send,
    wake() {
      for (const { waiting, sleeping } of workers.values()) for (const resolve of [...waiting, ...sleeping]) resolve()
    },
    idle() {
      if (![...workers.values()].some(({ receiving }) => receiving)) return Promise.resolve()
      return new Promise((resolve) => idleWaiters.add(resolve))
    },
    busy: () => [...workers.values()].some(({ receiving, sending }) => receiving || sending),
    async ended() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}

async function waitIn(waiting: Set<() => void>, milliseconds: number, signal: AbortSignal): Promise<void> {
  const woken = new AbortController()
  const wake = () => woken.abort()
  waiting.add(wake)
  signal.addEventListener('abort', wake)
  await pause(milliseconds, woken.signal)
  waiting.delete(wake)
  signal.removeEventListener('abort', wake)
}
