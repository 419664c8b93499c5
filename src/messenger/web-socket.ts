import type { WebSocket } from 'ws'
import type { FramePipe } from '../protocol/index.ts'
import { closeCodes, heartbeatMs } from './settings.ts'

/** Where the messenger's WebSocket is served. */
export const webSocketPath = '/messenger/v1'

/**
 * A pipe over a WebSocket of `ws` on the server's side. Its server has to be made with `maxPayload` (the gateway's
 * largest frame) and without compression. A peer that answers no ping for a whole interval is given up.
 */
export function webSocketPipe(socket: WebSocket): FramePipe {
  const waiting: Uint8Array[] = []
  let frameListener: ((frame: Uint8Array) => void) | undefined
  let alive = true
  const timer = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    socket.ping()
  }, heartbeatMs)
  timer.unref()

  socket.binaryType = 'nodebuffer'
  socket.on('pong', () => {
    alive = true
  })
  socket.on('message', (data, isBinary) => {
    alive = true
    // A text is no frame, and frames are taken one message at a time.
    if (!isBinary || !Buffer.isBuffer(data)) return socket.close(closeCodes.malformed, 'binary frames only')
    const frame = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    if (frameListener) frameListener(frame)
    else waiting.push(frame)
  })
  // 'close' follows every error; without a listener the process would end.
  socket.on('error', () => undefined)

  return {
    send(frame) {
      if (socket.readyState === socket.OPEN) socket.send(frame, { binary: true })
    },
    onFrame(listener) {
      frameListener = listener
      for (const frame of waiting.splice(0)) listener(frame)
    },
    onClose(listener) {
      socket.once('close', (code: number, reason: Buffer) => {
        clearInterval(timer)
        listener(code, reason.toString())
      })
    },
    close(code = 1000, reason = '') {
      socket.close(code, reason)
      // Who does not answer the close is cut off.
      setTimeout(() => socket.terminate(), heartbeatMs / 10).unref()
    },
    get buffered() {
      return socket.bufferedAmount
    },
  }
}
