import type { RoomId } from '../../identity/index.ts'
import type { ChatEnding as ChatEndingMessage } from '../../protocol/index.ts'
import { expect } from '../connection/wire.ts'
import { parseRoom } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import type { ChatEnding } from '../types.ts'

/** The longest time before its end at which a chat is spoken of: a day, as the provider has it. */
const soonMs = 24 * 60 * 60 * 1000

export type Endings = ReturnType<typeof createEndings>

/** What this device knows of the ends of chats with guests. In memory: the provider tells at each log-in. */
export function createEndings(context: Context) {
  const known = new Map<RoomId, ChatEnding>()
  const told = ({ room: id, endsMs, leftMs, idleMs }: ChatEndingMessage): ChatEnding => {
    const room = parseRoom(id)
    const ending = { room, endsAt: Number(endsMs), leftMs: Number(leftMs), idleMs: Number(idleMs) }
    const before = known.get(room)
    known.set(room, ending)
    if (before?.endsAt !== ending.endsAt || before.leftMs - ending.leftMs > 1000) context.events.tell('ending', ending)
    return ending
  }
  /** Something was said: the end is as far away as it can be. Told of only where somebody was told that it is near. */
  const said = (room: RoomId, timestampMs: number): void => {
    const before = known.get(room)
    if (!before || timestampMs + before.idleMs <= before.endsAt) return
    const ending = { ...before, endsAt: timestampMs + before.idleMs, leftMs: before.idleMs }
    known.set(room, ending)
    if (before.leftMs <= soonMs) context.events.tell('ending', ending)
  }
  context.events.on('message', ({ room, timestampMs }) => said(room, timestampMs))
  context.events.on('accepted', ({ room, timestampMs }) => said(room, timestampMs))
  return {
    told,
    async extend(room: RoomId): Promise<ChatEnding> {
      return told(expect(await context.request({ case: 'extendChat', value: { room } }), 'chatEnding'))
    },
  }
}
