import type { AccountAddress, DeviceId, RoomId } from '../../identity/index.ts'
import { expect } from '../connection/wire.ts'
import type { Context } from '../context.ts'
import { asClientError } from '../errors.ts'
import { lookIntoRoom } from '../state/room-work.ts'
import { openEphemeral, sealEphemeral } from './ephemeral.ts'
import type { Typing } from './signal-types.ts'

/** Rooms of which it is remembered who types: those beyond are of no use to a person. */
const mostShown = 1024

/** Who types where: kept in memory, and gone after a while by itself. */
export function createTyping(context: Omit<Context, 'typing'>): Typing {
  /** When it was last said that this account types in a room. */
  const said = new Map<RoomId, number>()
  const shown = new Map<string, { room: RoomId; account: AccountAddress; timer: ReturnType<typeof setTimeout> }>()
  /** The newest frame of each device. */
  const newest = new Map<DeviceId, number>()
  const { settings, events } = context
  let order = 0

  const hide = (key: string) => {
    const found = shown.get(key)
    if (!found) return
    clearTimeout(found.timer)
    shown.delete(key)
    events.tell('typing', { room: found.room, account: found.account, on: false })
  }
  const show = (room: RoomId, account: AccountAddress) => {
    const key = `${room} ${account}`
    const known = shown.get(key)
    if (known) clearTimeout(known.timer)
    else if (shown.size >= mostShown) return
    const timer = setTimeout(() => hide(key), settings.typingShown)
    // No process stays up for this alone; a browser has no such call.
    ;(timer as { unref?: () => void }).unref?.()
    shown.set(key, { room, account, timer })
    if (!known) events.tell('typing', { room, account, on: true })
  }

  return {
    async say(room, on) {
      const now = Date.now()
      const last = said.get(room)
      if (on ? last !== undefined && now - last < settings.typingEvery : last === undefined) return
      if (on) said.set(room, now)
      else said.delete(room)
      if (!context.online()) return
      order = Math.max(order + 1, now)
      const frame = await lookIntoRoom(context, room, async (work) => {
        if (!work.record?.joined || work.record.enter || work.record.standing !== 'accepted') return undefined
        const signingKey = context.self.devicePrivateKey
        return sealEphemeral({ ...context, signingKey }, room, await work.group(), { what: 'typing', on, order })
      })
      if (!frame) return
      try {
        expect(await context.request({ case: 'sendEphemeral', value: { room, frame } }), 'done')
      } catch (error) {
        // Not shown, and no harm done; but what does not pass should be known.
        const failed = asClientError(error, 'protocol')
        if (!failed.retry && failed.code !== 'closed') events.tell('fault', failed)
      }
    },
    async receive(room, frame) {
      const opened = await lookIntoRoom(context, room, async (work) => {
        if (!work.record?.joined || work.record.enter || work.record.standing !== 'accepted') return undefined
        return openEphemeral(context, room, await work.group(), (await work.roster()).leaves, frame)
      })
      if (!opened) return
      const { sender, said: heard } = opened
      if (sender.address === context.self.address || heard.order <= (newest.get(sender.deviceId) ?? 0)) return
      if (newest.size > mostShown) newest.clear()
      newest.set(sender.deviceId, heard.order)
      if (heard.on) show(room, sender.address)
      else hide(`${room} ${sender.address}`)
    },
    spoke: (room, account) => hide(`${room} ${account}`),
    end() {
      for (const { timer } of shown.values()) clearTimeout(timer)
      shown.clear()
    },
  }
}
