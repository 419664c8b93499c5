import { toHex } from '../../crypto/index.ts'
import type { ClientError } from '../errors.ts'
import type { Sent } from '../types.ts'

type Place = Awaited<Sent['accepted']>

export interface Sends {
  /** A promise for what becomes of the message; it need not be listened to. */
  wait(messageId: Uint8Array): Promise<Place>
  accepted(messageId: Uint8Array, place: Place): void
  refused(messageId: Uint8Array, error: ClientError): void
  /** Rejects all that wait: the device is closed. */
  end(error: ClientError): void
}

export function createSends(): Sends {
  const waiting = new Map<
    string,
    { promise: Promise<Place>; resolve(place: Place): void; reject(error: Error): void }
  >()
  const take = (messageId: Uint8Array) => {
    const key = toHex(messageId)
    const found = waiting.get(key)
    waiting.delete(key)
    return found
  }
  return {
    wait(messageId) {
      const key = toHex(messageId)
      const found = waiting.get(key)
      if (found) return found.promise
      const deferred = Promise.withResolvers<Place>()
      deferred.promise.catch(() => {})
      waiting.set(key, deferred)
      return deferred.promise
    },
    accepted: (messageId, place) => take(messageId)?.resolve(place),
    refused: (messageId, error) => take(messageId)?.reject(error),
    end(error) {
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    },
  }
}
