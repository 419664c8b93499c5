import type { RoomId } from '../../identity/index.ts'
import { pause } from '../connection/pause.ts'
import { expect } from '../connection/wire.ts'
import type { Context } from '../context.ts'

export interface Acknowledgements {
  entry(room: RoomId, seq: bigint): void
  welcome(id: bigint): void
}

/**
 * Tells the provider what is stored here, one request at a time, each with the newest of every room: what was
 * acknowledged is deleted there. What is lost with the link comes again and is recognised.
 */
export function createAcknowledgements(context: Context): Acknowledgements {
  let cursors = new Map<RoomId, bigint>()
  let welcomes = new Set<bigint>()
  let running = false

  const note = (room: RoomId, seq: bigint) => {
    const known = cursors.get(room)
    if (known === undefined || known < seq) cursors.set(room, seq)
  }
  const flush = async () => {
    while (cursors.size + welcomes.size > 0 && context.online() && !context.signal.aborted) {
      const [taken, takenWelcomes] = [cursors, welcomes]
      cursors = new Map()
      welcomes = new Set()
      try {
        const value = { cursors: [...taken].map(([room, seq]) => ({ room, seq })), welcomes: [...takenWelcomes] }
        expect(await context.request({ case: 'acknowledge', value }), 'done')
        await context.step('client.acknowledged')
      } catch {
        // A link that broke delivers again what was not acknowledged; a provider with a passing fault is asked again.
        for (const [room, seq] of taken) note(room, seq)
        for (const id of takenWelcomes) welcomes.add(id)
        await pause(context.settings.retryFirst, context.signal)
      }
    }
    running = false
  }
  const start = () => {
    if (running) return
    running = true
    void pause(context.settings.acknowledgeAfter, context.signal).then(flush)
  }
  return {
    entry(room, seq) {
      note(room, seq)
      start()
    },
    welcome(id) {
      welcomes.add(id)
      start()
    },
  }
}
