/** Waits that long, or until the signal ends. A pause alone keeps no process alive. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(undefined)
    const finish = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve(undefined)
    }
    const timer = setTimeout(finish, milliseconds)
    signal?.addEventListener('abort', finish)
  })
}

/** A pause after the n-th failure: doubling from `first` up to `most`, of which a random part (full jitter). */
export function backOff(failures: number, first: number, most: number): number {
  const ceiling = Math.min(most, first * 2 ** Math.max(0, failures - 1))
  return failures === 0 ? 0 : ceiling * (0.2 + 0.8 * Math.random())
}
