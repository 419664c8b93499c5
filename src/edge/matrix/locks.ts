/** Runs pieces of work with the same key one after another, in the order of their coming. */
export interface Locks {
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /** Takes several keys, always in the same order, so that two takers cannot wait for each other. */
  runAll<T>(keys: Iterable<string>, work: () => Promise<T>): Promise<T>
}

export function createLocks(): Locks {
  const tails = new Map<string, Promise<unknown>>()
  const run = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const before = tails.get(key) ?? Promise.resolve()
    const result = before.then(work, work)
    const tail = result.then(
      () => {},
      () => {},
    )
    tails.set(key, tail)
    tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key)
    })
    return result
  }
  return {
    run,
    runAll(keys, work) {
      const [...rest] = [...new Set(keys)].sort()
      const take = (index: number): ReturnType<typeof work> =>
        index === rest.length ? work() : run(rest[index]!, () => take(index + 1))
      return take(0)
    },
  }
}

/** @param signal ends the wait early */
export const delay = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })

/** Applies `work` to all, at most `width` at a time; stops starting more when one fails. */
export async function eachOf<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const lane = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: width }, lane))
}
