import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { FramePipe } from '../protocol/index.ts'
import { closeCodes, heartbeatMs } from './settings.ts'

/** Where the messenger's WebSocket is served. */
export const webSocketPath = '/messenger/v1'

/** Bytes of a WebSocket frame of the protocol's own (a ping, a pong) beside what it carries (RFC 6455 §5.2). */
const controlBytes = 6

/**
 * A pipe over a WebSocket of `ws` on the server's side. Its server has to be made with `maxPayload` (the gateway's
 * largest frame) and without compression. A peer that answers no ping for a whole interval is given up.
 *
 * @param below the connection that carries it: without it, halves of frames have no bound but `maxPayload`
 */
export function webSocketPipe(socket: WebSocket, below?: Duplex): FramePipe {
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
    ...(below && { limitHalves: (bytes, onBeyond) => limitHalves(socket, below, bytes, onBeyond) }),
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

/** `ws` has one limit for all and keeps a message until it is whole, so what comes below it is counted. */
function limitHalves(socket: WebSocket, below: Duplex, bytes: number, onBeyond: () => void): () => void {
  // A message may come in pieces, each with a head of its own.
  const most = bytes + bytes / 16
  let held = 0
  const onBytes = (chunk: Buffer) => {
    if (held > most) {
      end()
      // What it goes on to send stays with its sender until the connection is cut off.
      socket.pause()
      onBeyond()
    }
    held += chunk.length
  }
  const onMessage = () => {
    held = 0
  }
  // These may come between the pieces of a message, which goes on to be held.
  const onControl = (data: Buffer) => {
    held = Math.max(0, held - controlBytes - data.length)
  }
  const end = () => {
    below.off('data', onBytes)
    socket.off('message', onMessage).off('ping', onControl).off('pong', onControl)
  }
  // Before `ws` gets them: what is held then is all that came since the last whole message.
  below.prependListener('data', onBytes)
  socket.on('message', onMessage).on('ping', onControl).on('pong', onControl)
  return end
}
