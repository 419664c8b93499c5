import type { FramePipe } from './pipe.ts'

interface End extends FramePipe {
  deliver(frame: Uint8Array): void
  closed(code: number, reason: string): void
}

/** Two ends of a pipe inside one process. Delivery is asynchronous, so that neither side runs inside the other's call. */
export function inProcessPipe(): [FramePipe, FramePipe] {
  const left: End = end(() => right)
  const right: End = end(() => left)
  return [left, right]
}

function end(peer: () => End): End {
  const waiting: Uint8Array[] = []
  let buffered = 0
  let open = true
  let frameListener: ((frame: Uint8Array) => void) | undefined
  const closeListeners: ((code: number, reason: string) => void)[] = []
  return {
    get buffered() {
      return buffered
    },
    send(frame) {
      if (!open) return
      buffered += frame.length
      setImmediate(() => {
        buffered -= frame.length
        peer().deliver(frame)
      })
    },
    deliver(frame) {
      if (!open) return
      if (frameListener) frameListener(frame)
      else waiting.push(frame)
    },
    onFrame(listener) {
      frameListener = listener
      for (const frame of waiting.splice(0)) listener(frame)
    },
    onClose(listener) {
      closeListeners.push(listener)
    },
    close(code = 1000, reason = '') {
      if (!open) return
      setImmediate(() => peer().closed(code, reason))
      this.closed(code, reason)
    },
    closed(code, reason) {
      if (!open) return
      open = false
      for (const listener of closeListeners.splice(0)) listener(code, reason)
    },
  }
}
