import { Refusal } from './refusal.ts'

export type Json = Record<string, unknown>

/** An event as clients and the appservice see it. */
export interface StubEvent {
  readonly event_id: string
  readonly type: string
  readonly sender: string
  readonly room_id: string
  readonly content: Json
  readonly origin_server_ts: number
  readonly state_key?: string
  unsigned?: Json
}

export interface StubRoom {
  readonly id: string
  readonly timeline: StubEvent[]
  /** `type|state key` → the event in force. */
  readonly state: Map<string, StubEvent>
  /** user → membership. */
  readonly members: Map<string, string>
}

export interface RoomsOptions {
  readonly domain: string
  /** How many events a room keeps; the oldest go first. All unless said otherwise. */
  readonly keep?: number | undefined
  /** The homeserver's clock, ms. */
  readonly clock?: (() => number) | undefined
  /** Told of each event, with who has to see it: members, and who it is about. */
  onEvent(event: StubEvent, room: StubRoom): void
}

/** Rooms in memory. It checks who is in a room and nothing else: no power levels, no federation, one version of rooms. */
export function stubRooms({ domain, keep = Number.POSITIVE_INFINITY, clock = Date.now, onEvent }: RoomsOptions) {
  const rooms = new Map<string, StubRoom>()
  /** Path of a send with its transaction id → event id, for good unless it is made to forget. */
  const sent = new Map<string, string>()
  let numbers = 0

  const roomOf = (id: string): StubRoom => {
    const room = rooms.get(id)
    if (!room) throw new Refusal(404, 'M_NOT_FOUND')
    return room
  }
  const append = (room: StubRoom, sender: string, type: string, content: Json, stateKey?: string): StubEvent => {
    const event: StubEvent = {
      event_id: `$${(++numbers).toString(36)}`,
      type,
      sender,
      room_id: room.id,
      content,
      origin_server_ts: clock(),
      ...(stateKey === undefined ? {} : { state_key: stateKey }),
    }
    if (stateKey !== undefined) {
      const before = room.state.get(`${type}|${stateKey}`)
      if (before) event.unsigned = { prev_content: before.content }
      room.state.set(`${type}|${stateKey}`, event)
      if (type === 'm.room.member') room.members.set(stateKey, String(content.membership))
    }
    room.timeline.push(event)
    if (room.timeline.length > keep * 2) room.timeline.splice(0, room.timeline.length - keep)
    onEvent(event, room)
    return event
  }
  const requireJoined = (room: StubRoom, user: string) => {
    if (room.members.get(user) !== 'join') throw new Refusal(403, 'M_FORBIDDEN')
  }
  const membership = (id: string, user: string, value: string, by = user, reason?: unknown): StubEvent => {
    const room = roomOf(id)
    const content: Json = { membership: value, ...(reason === undefined ? {} : { reason }) }
    if (value === 'invite') {
      const shown = ['m.room.join_rules|', 'm.room.encryption|', 'm.room.create|', 'm.room.name|']
      const state = shown.flatMap((key) => room.state.get(key) ?? [])
      const event = append(room, by, 'm.room.member', content, user)
      event.unsigned = { ...event.unsigned, invite_room_state: state }
      return event
    }
    return append(room, by, 'm.room.member', content, user)
  }
  return {
    rooms,
    roomOf,
    create(creator: string, body: Json): string {
      const id = `!${(++numbers).toString(36)}:${domain}`
      const room: StubRoom = { id, timeline: [], state: new Map(), members: new Map() }
      rooms.set(id, room)
      const created = { room_version: '11', creator, ...(body.creation_content as Json | undefined) }
      append(room, creator, 'm.room.create', created, '')
      membership(id, creator, 'join')
      const levels = { users: { [creator]: 100 }, ...(body.power_level_content_override as Json | undefined) }
      append(room, creator, 'm.room.power_levels', levels, '')
      append(room, creator, 'm.room.join_rules', { join_rule: 'invite' }, '')
      for (const one of (body.initial_state as Json[] | undefined) ?? [])
        append(room, creator, String(one.type), one.content as Json, String(one.state_key ?? ''))
      if (body.topic !== undefined) append(room, creator, 'm.room.topic', { topic: body.topic }, '')
      if (body.name !== undefined) append(room, creator, 'm.room.name', { name: body.name }, '')
      for (const user of (body.invite as string[] | undefined) ?? []) membership(id, user, 'invite', creator)
      return id
    },
    join(id: string, user: string): void {
      const room = roomOf(id)
      const now = room.members.get(user)
      if (now === 'join') return
      if (now !== 'invite') throw new Refusal(403, 'M_FORBIDDEN')
      membership(id, user, 'join')
    },
    invite(id: string, by: string, user: string): void {
      requireJoined(roomOf(id), by)
      const now = roomOf(id).members.get(user)
      if (now === 'join' || now === 'ban') throw new Refusal(403, 'M_FORBIDDEN')
      membership(id, user, 'invite', by)
    },
    ban(id: string, user: string, by: string): void {
      requireJoined(roomOf(id), by)
      membership(id, user, 'ban', by)
    },
    leave(id: string, user: string, by = user, reason?: unknown): void {
      membership(id, user, 'leave', by, reason)
    },
    /** @param once names the send; the same name gives the same event */
    send(id: string, sender: string, type: string, content: Json, once?: string): string {
      const known = once === undefined ? undefined : sent.get(once)
      if (known !== undefined) return known
      const room = roomOf(id)
      requireJoined(room, sender)
      const event = append(room, sender, type, content)
      if (once !== undefined) sent.set(once, event.event_id)
      return event.event_id
    },
    putState(id: string, sender: string, type: string, key: string, content: Json): string {
      const room = roomOf(id)
      requireJoined(room, sender)
      return append(room, sender, type, content, key).event_id
    },
    /** As Synapse does after half an hour: what was sent can no more be told by its transaction id. */
    forgetSent: () => sent.clear(),
    joinedRooms: (user: string): string[] =>
      [...rooms.values()].filter((room) => room.members.get(user) === 'join').map((room) => room.id),
    /** Newest first, from a place that the last page named. */
    page(id: string, from: number | undefined, limit: number): { chunk: StubEvent[]; end?: string } {
      const { timeline } = roomOf(id)
      const until = from ?? timeline.length
      const start = Math.max(0, until - limit)
      const chunk = timeline.slice(start, until).reverse()
      return start > 0 ? { chunk, end: `p${start}` } : { chunk }
    },
  }
}

export type StubRooms = ReturnType<typeof stubRooms>
