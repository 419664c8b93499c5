import { asClientError } from './errors.ts'
import type { DeviceEvents } from './types.ts'

type Name = keyof DeviceEvents

export interface Events {
  on<E extends Name>(event: E, handler: DeviceEvents[E]): () => void
  /** Runs the handlers one after another and waits for them; what one throws comes through (and undoes a transaction). */
  run<E extends Name>(event: E, ...args: Parameters<DeviceEvents[E]>): Promise<void>
  /** For events outside a transaction: nobody waits, and a handler that fails is reported as a fault. */
  tell<E extends Name>(event: E, ...args: Parameters<DeviceEvents[E]>): void
}

export function createEvents(): Events {
  const handlers = new Map<Name, Set<DeviceEvents[Name]>>()
  const events: Events = {
    on(event, handler) {
      const set = handlers.get(event) ?? new Set()
      handlers.set(event, set)
      set.add(handler)
      return () => set.delete(handler)
    },
    async run(event, ...args) {
      for (const handler of handlers.get(event) ?? []) await (handler as (...args: unknown[]) => unknown)(...args)
    },
    tell(event, ...args) {
      events.run(event, ...args).catch((error: unknown) => {
        if (event !== 'fault') events.tell('fault', asClientError(error, 'handler'))
      })
    },
  }
  return events
}
