/** Wake-ups by topic. */
export interface Bus {
  /**
   * Wakes everybody who listens to the topic. Returns at once; listeners run later and never inside this call.
   *
   * @param where a short hint where to look, such as the number of a room; never data that somebody would miss
   */
  publish(topic: string, where?: string): void
  /**
   * Calls `wake` after each publication to the topic from now on; publications that come close together are one, with
   * the hints of all of them. Topics are matched whole.
   *
   * @returns a function that ends it: after it `wake` is not called again
   */
  subscribe(topic: string, wake: (where: ReadonlySet<string>) => void): () => void
  /** Drops all listeners and what is under way. */
  close(): Promise<void>
}

/** The bus of a single process. */
export function openBus({ onFault }: { readonly onFault?: (fault: unknown) => void } = {}): Bus {
  const listeners = new Map<string, Set<(where: ReadonlySet<string>) => void>>()
  const pending = new Map<string, Set<string>>()
  let closed = false

  const deliver = () => {
    const topics = [...pending]
    pending.clear()
    for (const [topic, where] of topics) {
      const woken = listeners.get(topic)
      // A copy: who subscribes in here is not woken for what came before.
      for (const wake of woken ? [...woken] : []) {
        if (!woken?.has(wake)) continue
        try {
          wake(where)
        } catch (error) {
          onFault?.(error)
        }
      }
    }
  }

  return {
    publish(topic, where) {
      if (closed || !listeners.has(topic)) return
      if (pending.size === 0) setImmediate(deliver)
      const hints = pending.get(topic) ?? new Set()
      pending.set(topic, where === undefined ? hints : hints.add(where))
    },
    subscribe(topic, wake) {
      // A listener of its own for each subscription, even when two share a function.
      const listener = (where: ReadonlySet<string>) => wake(where)
      const others = listeners.get(topic) ?? new Set()
      listeners.set(topic, others.add(listener))
      return () => {
        others.delete(listener)
        if (others.size === 0 && listeners.get(topic) === others) listeners.delete(topic)
      }
    },
    async close() {
      closed = true
      listeners.clear()
      pending.clear()
    },
  }
}
