import type { AccountAddress, RoomId } from '../../identity/index.ts'

/**
 * When receipts that are owed go out: almost at once in a quiet room, and then not again for a while, so that in a busy one
 * a report stands for many messages.
 */
export interface Receipts {
  /** A room has receipts to send. */
  owed(room: RoomId): void
  /** Whether their time has come. */
  due(room: RoomId): boolean
  end(): void
}

/** Who types where. */
export interface Typing {
  /** This account types in a room, or has stopped. */
  say(room: RoomId, on: boolean): Promise<void>
  /** A frame from another device. */
  receive(room: RoomId, frame: Uint8Array): Promise<void>
  /** A message of theirs has come: they do not type any more. */
  spoke(room: RoomId, account: AccountAddress): void
  end(): void
}
