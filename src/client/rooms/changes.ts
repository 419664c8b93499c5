import { toHex } from '../../crypto/index.ts'
import type { AccountAddress, Role, RoomId } from '../../identity/index.ts'
import type { LeafClaim } from '../../mls/index.ts'
import { ClientError } from '../errors.ts'

/** KeyPackages of an account's devices, each of which was found in the account's manifest. */
export interface Invitation {
  address: AccountAddress
  manifest: Uint8Array
  keyPackages: { bytes: Uint8Array; claim: LeafClaim }[]
}

/** What somebody wants of a group; made into a commit of the epoch in which its turn comes, and anew in the next. */
export type GroupIntent =
  | { what: 'add'; invitations: readonly Invitation[] }
  | { what: 'remove'; account: AccountAddress }
  | { what: 'rename'; name: string }
  | { what: 'role'; account: AccountAddress; role: Role }

interface Change {
  intent: GroupIntent
  /** Of the commit that carries it out, once there is one. */
  key?: string
  resolve(): void
  reject(error: Error): void
}

/** Changes of groups whose callers wait. They are not kept: after a restart only a commit that was made goes on. */
export interface Changes {
  /** Resolves when the change has its place in the log, or is none any more. */
  ask(room: RoomId, intent: GroupIntent): Promise<void>
  first(room: RoomId): GroupIntent | undefined
  /** The first one will be carried out by the commit with this key. */
  begun(room: RoomId, key: Uint8Array): void
  /** The first one is so already, or may not be. */
  settled(room: RoomId, error?: ClientError): void
  /** What became of the commit with this key. Whether it carried out a change. */
  decided(room: RoomId, key: Uint8Array, error?: ClientError): boolean
  /** Rejects all that wait, in one room or, when the device is closed, in all. */
  end(error: ClientError, room?: RoomId): void
}

export function createChanges(): Changes {
  const waiting = new Map<RoomId, Change[]>()
  const settle = (room: RoomId, change: Change, error?: ClientError) => {
    const rest = (waiting.get(room) ?? []).filter((each) => each !== change)
    if (rest.length > 0) waiting.set(room, rest)
    else waiting.delete(room)
    if (error) change.reject(error)
    else change.resolve()
  }
  const changes: Changes = {
    ask(room, intent) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      waiting.set(room, [...(waiting.get(room) ?? []), { intent, resolve, reject }])
      return promise
    },
    first: (room) => waiting.get(room)?.[0]?.intent,
    begun(room, key) {
      const first = waiting.get(room)?.[0]
      if (first) first.key = toHex(key)
    },
    settled(room, error) {
      const first = waiting.get(room)?.[0]
      if (first) settle(room, first, error)
    },
    decided(room, key, error) {
      const found = waiting.get(room)?.find((change) => change.key === toHex(key))
      if (found) settle(room, found, error)
      return found !== undefined
    },
    end(error, room) {
      for (const [id, list] of [...waiting])
        if (room === undefined || id === room) for (const change of list) settle(id, change, error)
    },
  }
  return changes
}

/** A change that the group's rule does not allow. */
export function forbidden(refusal: string): ClientError {
  return new ClientError('not-allowed', `the group's rule: ${refusal}`)
}
