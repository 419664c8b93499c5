import type { FramePipe } from '../../protocol/index.ts'
import { ClientError } from '../errors.ts'

/**
 * A pipe over the platform's WebSocket: the browser's, or Node's since version 22. Resolves when it is open.
 * `url`: `wss://provider.example/messenger/v1`. Errors: disconnected.
 */
export function webSocketPipe(url: string): Promise<FramePipe> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    const early: Uint8Array[] = []
    let frameListener: ((frame: Uint8Array) => void) | undefined
    let closeListener: ((code: number, reason: string) => void) | undefined
    let closed: { code: number; reason: string } | undefined
    const pipe: FramePipe = {
      send(frame) {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>)
      },
      onFrame(listener) {
        frameListener = listener
        for (const frame of early.splice(0)) listener(frame)
      },
      onClose(listener) {
        closeListener = listener
        if (closed) listener(closed.code, closed.reason)
      },
      close: (code = 1000, reason = '') => socket.close(allowed(code), reason),
      get buffered() {
        return socket.bufferedAmount
      },
    }
    socket.onopen = () => resolve(pipe)
    socket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return socket.close(4003, 'not binary')
      const frame = new Uint8Array(data)
      if (frameListener) frameListener(frame)
      else early.push(frame)
    }
    socket.onclose = ({ code, reason }) => {
      closed = { code, reason }
      reject(new ClientError('disconnected', 'the WebSocket did not open'))
      closeListener?.(code, reason)
    }
  })
}

/** A page may close with 1000 or 3000–4999 only (WHATWG WebSockets); the protocol's own reasons are shifted there. */
function allowed(code: number): number {
  return code === 1000 || code >= 3000 ? code : 3000 + (code % 1000)
}
