/**
 * A duplex of binary frames: a WebSocket, or two ends in one process. The gateway and the client know nothing else of
 * how bytes travel.
 */
export interface FramePipe {
  /** Sends one whole frame. Frames sent after a close are dropped. */
  send(frame: Uint8Array): void
  /** Called once for each frame, in order. Frames that came before the first listener are kept for it. */
  onFrame(listener: (frame: Uint8Array) => void): void
  /** Called once, also when the other side closed or the link broke. */
  onClose(listener: (code: number, reason: string) => void): void
  /**
   * Bounds what is held of a frame that has not come whole yet. Beyond so many bytes nothing more is read, and `onBeyond` is
   * called, once. Returns a function that ends the bound. A pipe whose frames come whole has none.
   */
  limitHalves?(bytes: number, onBeyond: () => void): () => void
  /** Closes with a WebSocket close code (RFC 6455 §7.4); 1000 when none is given. */
  close(code?: number, reason?: string): void
  /** Bytes taken by `send` that have not left yet: what back-pressure is judged by. */
  readonly buffered: number
}
