import type { StubKeys } from './keys.ts'
import { Refusal } from './refusal.ts'
import type { Json, StubRooms } from './rooms.ts'

export interface Call {
  readonly method: string
  /** Decoded parts of the path after /_matrix/client/v3. */
  readonly parts: readonly string[]
  readonly path: string
  readonly query: URLSearchParams
  /** On whose behalf. */
  readonly user: string
  readonly device: string
  readonly body: Json
}

export interface RoutesOptions {
  readonly rooms: StubRooms
  readonly keys: StubKeys
  readonly users: Set<string>
  readonly names: Map<string, string>
  readonly domain: string
  onPing(): void
}

/** The calls of the Client-Server API that a bridge makes. Throws Refusal. */
export function stubRoutes({ rooms, keys, users, names, domain, onPing }: RoutesOptions) {
  return (call: Call): unknown => {
    const { method, parts, query, user, device, body, path } = call
    const [head, second, third, fourth, fifth] = parts as [string, string, string, string, string]
    switch (head) {
      case 'register': {
        const made = `@${String(body.username)}:${domain}`
        if (users.has(made)) throw new Refusal(400, 'M_USER_IN_USE')
        users.add(made)
        return { user_id: made }
      }
      case 'account':
        return { user_id: user, device_id: device }
      case 'devices':
        keys.deviceOf(user, second)
        return {}
      case 'profile':
        if (method === 'PUT') {
          names.set(second, String(body.displayname))
          return {}
        }
        if (!users.has(second)) throw new Refusal(404, 'M_NOT_FOUND')
        return { displayname: names.get(second) ?? second.slice(1, second.indexOf(':')) }
      case 'keys':
        if (second === 'upload') return keys.upload(user, device, body)
        if (second === 'query') return keys.query(body)
        if (second === 'claim') return keys.claim(body)
        if (second === 'device_signing') return keys.identify(user, body)
        if (second === 'signatures') return keys.sign(body)
        break
      case 'sendToDevice':
        return keys.sendToDevice(user, second, body, `${user} ${path}`)
      case 'sync':
        return keys.sync(user, device, query.get('since') ?? undefined)
      case 'createRoom':
        return { room_id: rooms.create(user, body) }
      case 'join':
        rooms.join(second, user)
        return { room_id: second }
      case 'joined_rooms':
        return { joined_rooms: rooms.joinedRooms(user) }
      case 'appservice':
        onPing()
        return { duration_ms: 1 }
      case 'rooms':
        return roomCall(third, second, fourth, fifth)
    }
    throw new Refusal(404, 'M_UNRECOGNIZED')

    function roomCall(what: string, room: string, type = '', last = ''): unknown {
      switch (what) {
        case 'send':
          return { event_id: rooms.send(room, user, type, body, path) }
        case 'redact':
          return { event_id: rooms.send(room, user, 'm.room.redaction', { ...body, redacts: type }, path) }
        case 'state': {
          if (method === 'PUT') return { event_id: rooms.putState(room, user, type, last, body) }
          const { state } = rooms.roomOf(room)
          if (type === '') return [...state.values()]
          const found = state.get(`${type}|${last}`)
          if (!found) throw new Refusal(404, 'M_NOT_FOUND')
          return found.content
        }
        case 'invite':
          rooms.invite(room, user, String(body.user_id))
          return {}
        case 'leave':
          rooms.leave(room, user, user, body.reason)
          return {}
        case 'kick':
          rooms.leave(room, String(body.user_id), user, body.reason)
          return {}
        case 'unban':
          if (rooms.roomOf(room).members.get(String(body.user_id)) !== 'ban') throw new Refusal(403, 'M_FORBIDDEN')
          rooms.leave(room, String(body.user_id), user)
          return {}
        case 'event': {
          const found = rooms.roomOf(room).timeline.find((event) => event.event_id === type)
          if (!found) throw new Refusal(404, 'M_NOT_FOUND')
          return found
        }
        case 'joined_members': {
          const joined = [...rooms.roomOf(room).members].filter(([, value]) => value === 'join')
          return { joined: Object.fromEntries(joined.map(([member]) => [member, {}])) }
        }
        case 'members': {
          const { state } = rooms.roomOf(room)
          return { chunk: [...state.values()].filter((event) => event.type === 'm.room.member') }
        }
        case 'messages': {
          const from = query.get('from')
          return rooms.page(room, from === null ? undefined : Number(from.slice(1)), Number(query.get('limit') ?? 100))
        }
        case 'typing':
        case 'receipt':
        case 'read_markers':
          return {}
      }
      throw new Refusal(404, 'M_UNRECOGNIZED')
    }
  }
}
