import type { Transaction } from '../../../store/index.ts'
import { readEvent } from './body.ts'
import type { Gaps } from './gaps.ts'
import { createEntryLanes } from './lanes.ts'
import { inOrder } from './missed.ts'
import type { AppserviceOptions, StoredEvent } from './types.ts'

/** Hands stored events to their handler: in order within a room, rooms side by side. */
export interface Feed {
  start(): Promise<void>
  wake(room: string): void
  finish(tx: Transaction, ids: readonly number[]): Promise<void>
  idle(): Promise<void>
  stop(): Promise<void>
}

interface Room {
  running: boolean
  /** Whether something came while it was running. */
  again: boolean
  failures: number
  timer?: NodeJS.Timeout
}

export function createFeed(
  options: Pick<AppserviceOptions, 'database' | 'sealer' | 'handlers' | 'settings' | 'log'>,
  gaps: Pick<Gaps, 'place' | 'start'>,
): Feed {
  const { database, sealer, handlers, settings, log } = options
  const rooms = new Map<string, Room>()
  const ready = new Set<string>()
  let running = 0
  let started = false
  let whenIdle: (() => void)[] = []

  const wake = (room: string) => {
    const state = rooms.get(room) ?? { running: false, again: false, failures: 0 }
    rooms.set(room, state)
    clearTimeout(state.timer)
    delete state.timer
    if (state.running) state.again = true
    else ready.add(room)
    work()
  }

  const lanes = createEntryLanes(settings, wake)

  const work = () => {
    for (const room of ready) {
      if (!started || running >= settings.roomsAtOnce) break
      ready.delete(room)
      running++
      void hand(room).finally(() => {
        running--
        work()
      })
    }
    if (running > 0 || (started && ready.size > 0)) return
    for (const resolve of whenIdle) resolve()
    whenIdle = []
  }

  const later = (room: string, state: Room, ms: number) => {
    state.timer = setTimeout(() => wake(room), ms)
  }

  const hand = async (room: string): Promise<void> => {
    const state = rooms.get(room)!
    state.running = true
    state.again = false
    try {
      await gaps.place(room)
      const events = await waiting(room)
      const mayEnter = () => lanes.take(room, state.failures > 0)
      const answer = events.length > 0 ? await handlers.onEvents(room, events, mayEnter) : undefined
      if (lanes.isInLine(room)) return
      state.failures = 0
      const first = events.length > 0 ? await oldest(room) : undefined
      if (first === undefined) return
      // Nothing finished means that the handler waits for something.
      if (first !== events[0]!.id) state.again = true
      else if (!state.again) later(room, state, answer?.retryAfterMs ?? settings.roomRetryMs)
    } catch {
      const wait = Math.min(settings.roomRetryMs * 2 ** state.failures++, settings.roomRetryMaxMs)
      log.warn({ code: 'events', ms: wait }, 'events of a room could not be handled and wait')
      state.again = false
      later(room, state, wait)
    } finally {
      state.running = false
      if (state.again) wake(room)
      else if (!state.timer && !lanes.isInLine(room)) rooms.delete(room)
      lanes.release(room)
    }
  }

  const waiting = async (room: string): Promise<StoredEvent[]> => {
    const rows = await database.query<{ id: number; body: Uint8Array; received_at: number }>(
      `select id, body, received_at from appservice_event where room = $1 and not unplaced ${inOrder} limit $2`,
      [room, settings.eventBatch],
    )
    return rows.map((row) => {
      const body = sealer.open(row.body, `appservice_event|body|${room}`)
      return { ...readEvent(JSON.parse(Buffer.from(body).toString('utf8')))!, id: row.id, receivedAt: row.received_at }
    })
  }

  const oldest = async (room: string): Promise<number | undefined> => {
    const rows = await database.query<{ id: number }>(
      `select id from appservice_event where room = $1 and not unplaced ${inOrder} limit 1`,
      [room],
    )
    return rows[0]?.id
  }

  return {
    wake,
    async start() {
      await gaps.start()
      started = true
      const rows = await database.query<{ room: string }>('select distinct room from appservice_event')
      for (const { room } of rows) wake(room)
      work()
    },
    async finish(tx, ids) {
      tx.write('delete from appservice_event where id = any($1::int8[])', [ids])
    },
    idle() {
      return new Promise((resolve) => {
        whenIdle.push(resolve)
        work()
      })
    },
    async stop() {
      started = false
      for (const state of rooms.values()) clearTimeout(state.timer)
      if (running > 0)
        await new Promise<void>((resolve) => {
          whenIdle.push(resolve)
        })
      for (const state of rooms.values()) clearTimeout(state.timer)
    },
  }
}
