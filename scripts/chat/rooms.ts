import type { Device, Member, Room, Storage } from '../../src/client/index.ts'
import type { AccountAddress, RoomId } from '../../src/identity/index.ts'
import { notes } from './notes.ts'

/** The conversations of a session: a number for each to type, and how the other person is called. */
export interface RoomList {
  /** Conversations that can be shown, numbered from 1 in the order in which this session met them. */
  all(): Promise<Room[]>
  numberOf(room: RoomId): number
  byNumber(number: number): RoomId | undefined
  /** How the other person is called, as far as is known; never empty. */
  nameOf(room: RoomId): Promise<string>
  /** The account of the other person. */
  otherOf(room: RoomId): Promise<AccountAddress | undefined>
}

export function openRoomList(device: Device, storage: Storage): RoomList {
  const numbers: RoomId[] = []
  const numberOf = (room: RoomId) => {
    if (!numbers.includes(room)) numbers.push(room)
    return numbers.indexOf(room) + 1
  }
  return {
    async all() {
      const rooms = (await device.rooms()).filter((room) => room.kind === 'direct' || room.kind === 'group')
      for (const room of rooms) numberOf(room.id)
      return rooms.sort((a, b) => numberOf(a.id) - numberOf(b.id))
    },
    numberOf,
    byNumber: (number) => numbers[number - 1],
    async nameOf(room) {
      const label = await storage.transaction((tx) => notes.label(tx, room))
      const { other } = (await device.room(room)) ?? {}
      const member = await memberOf(device, room)
      const known = member?.profile?.name ?? member?.profile?.foreignAddress
      // Written down for the time when they have left, and with them their profile.
      if (known && known !== label) await storage.transaction((tx) => notes.setLabel(tx, room, known))
      return known ?? label ?? shortName(other ?? member?.address)
    },
    async otherOf(room) {
      return (await device.room(room))?.other ?? (await memberOf(device, room))?.address
    },
  }
}

async function memberOf(device: Device, room: RoomId): Promise<Member | undefined> {
  // A room in which this device has no leaf (yet, or any more) has no members to show.
  const members = await device.members(room).catch(() => [])
  return members.find((member) => !member.own)
}

/** A stranger shows nothing of themselves: the end of the address tells two of them apart. */
export function shortName(address: AccountAddress | undefined): string {
  return address ? `somebody (…${address.slice(-5)})` : 'somebody'
}
