import type { Delivery, ToDevice } from '../ghosts.ts'
import type { StoredEvent } from './types.ts'

/** A transaction's body, read with indulgence: what is not as it should be is left out and counted. */
export interface TransactionBody {
  readonly events: readonly ReadEvent[]
  readonly ephemeral: readonly Record<string, unknown>[]
  readonly delivery: Delivery
  /** Entries that are no events. */
  readonly malformed: number
}

export type ReadEvent = Omit<StoredEvent, 'id' | 'receivedAt'>

/**
 * Reads PUT /transactions (Application Service API §Pushing events; MSC2409 for to-device, MSC3202 for key counts and
 * device lists). Stable and unstable names of the same thing are taken alike; where both are there, the stable one.
 */
export function readTransaction(body: Record<string, unknown>): TransactionBody {
  let malformed = 0
  const every = <T>(list: unknown, read: (entry: Record<string, unknown>) => T | undefined): T[] => {
    if (list === undefined) return []
    if (!Array.isArray(list)) {
      malformed++
      return []
    }
    return list.flatMap((entry) => {
      const result = isObject(entry) ? read(entry) : undefined
      if (result === undefined) malformed++
      return result === undefined ? [] : [result]
    })
  }
  const first = (...names: string[]) => body[names.find((name) => body[name] !== undefined) ?? '']
  const lists = first('device_lists', 'org.matrix.msc3202.device_lists')
  const names = (list: unknown) =>
    Array.isArray(list) ? list.filter((user): user is string => typeof user === 'string') : []
  const events = every(body.events, readEvent)
  return {
    events,
    ephemeral: every(first('ephemeral', 'de.sorunome.msc2409.ephemeral'), (entry) => entry),
    delivery: {
      toDevice: every(first('to_device', 'de.sorunome.msc2409.to_device'), readToDevice),
      otkCounts: byDevice(
        first(
          'device_one_time_keys_count',
          'org.matrix.msc3202.device_one_time_keys_count',
          'org.matrix.msc3202.device_one_time_key_counts',
        ),
        readCounts,
      ),
      fallbackTypes: byDevice(
        first('device_unused_fallback_key_types', 'org.matrix.msc3202.device_unused_fallback_key_types'),
        (value) => (Array.isArray(value) ? names(value) : undefined),
      ),
      deviceLists: {
        changed: [...(isObject(lists) ? names(lists.changed) : []), ...arrivals(events)],
        left: isObject(lists) ? names(lists.left) : [],
      },
    },
    get malformed() {
      return malformed
    },
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Who came into a room, or was invited. In a transaction device lists tell of devices that change while a room is shared
 * (MSC3202), and not, as /sync does, of users who now share one: theirs may have changed since we last looked.
 */
function arrivals(events: readonly ReadEvent[]): string[] {
  const here = (content: unknown) =>
    isObject(content) && (content.membership === 'join' || content.membership === 'invite')
  return events.flatMap(({ type, stateKey, content, event }) => {
    if (type !== 'm.room.member' || stateKey === undefined || !here(content)) return []
    const before = isObject(event.unsigned) ? event.unsigned.prev_content : undefined
    return isObject(before) && before.membership === content.membership ? [] : [stateKey]
  })
}

export function readEvent(event: Record<string, unknown>): ReadEvent | undefined {
  const { room_id: room, event_id: eventId, type, sender, state_key: stateKey, content } = event
  if (typeof room !== 'string' || typeof eventId !== 'string' || typeof type !== 'string') return undefined
  if (typeof sender !== 'string' || !isObject(content)) return undefined
  // PostgreSQL takes no NUL in text: one such name, and no transaction would be stored any more.
  if ([room, eventId, type, sender, stateKey].some((name) => name?.toString().includes('\0'))) return undefined
  if (stateKey !== undefined && typeof stateKey !== 'string') return undefined
  return { room, eventId, type, sender, content, event, ...(stateKey === undefined ? {} : { stateKey }) }
}

function readToDevice(entry: Record<string, unknown>): ToDevice | undefined {
  const { type, sender, content, to_user_id: user, to_device_id: device } = entry
  if (typeof type !== 'string' || typeof sender !== 'string' || !isObject(content)) return undefined
  if (typeof user !== 'string' || typeof device !== 'string' || user.includes('\0')) return undefined
  return { type, sender, content, to_user_id: user, to_device_id: device }
}

function readCounts(value: unknown): Record<string, number> | undefined {
  if (!isObject(value)) return undefined
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, number] => typeof pair[1] === 'number'),
  )
}

/** user → device → what `read` makes of it. */
function byDevice<T>(value: unknown, read: (value: unknown) => T | undefined): Record<string, Record<string, T>> {
  const users: Record<string, Record<string, T>> = Object.create(null)
  if (!isObject(value)) return users
  for (const [user, devices] of Object.entries(value)) {
    if (!isObject(devices)) continue
    const kept: Record<string, T> = Object.create(null)
    for (const [device, entry] of Object.entries(devices)) {
      const result = read(entry)
      if (result !== undefined) kept[device] = result
    }
    users[user] = kept
  }
  return users
}

/** Whether an invitation is to a room that everybody may enter, as far as the state that comes with it says so. */
export function leadsToPublic({ event }: Pick<StoredEvent, 'event'>): boolean {
  const { unsigned } = event
  const state = isObject(unsigned) ? unsigned.invite_room_state : undefined
  if (!Array.isArray(state)) return false
  return state.some(
    (entry) =>
      isObject(entry) &&
      entry.type === 'm.room.join_rules' &&
      isObject(entry.content) &&
      entry.content.join_rule === 'public',
  )
}
