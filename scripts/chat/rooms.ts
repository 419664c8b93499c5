import type { Device, Member, Room, Storage } from '../../src/client/index.ts'
import type { AccountAddress, RoomId } from '../../src/identity/index.ts'
import { notes } from './notes.ts'

/** The conversations of a session: a number for each to type, and how the other person is called. */
export interface RoomList {
  /** Conversations that can be shown, numbered from 1 in the order in which this session met them. */
  all(): Promise<Room[]>
  numberOf(room: RoomId): number
  byNumber(number: number): RoomId | undefined
  /** How the group or the other person is called, as far as is known; never empty. */
  nameOf(room: RoomId): Promise<string>
  /** How somebody in a room, or who was in it, is called. */
  personOf(room: RoomId, account: AccountAddress): Promise<string>
  /** The one member of a room who is called like that; undefined when there is none, or more than one. */
  memberCalled(room: RoomId, name: string): Promise<AccountAddress | undefined>
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
      const rooms = (await device.rooms()).filter((room) => room.kind !== 'self')
      for (const room of rooms) numberOf(room.id)
      return rooms.sort((a, b) => numberOf(a.id) - numberOf(b.id))
    },
    numberOf,
    byNumber: (number) => numbers[number - 1],
    async nameOf(room) {
      const label = await storage.transaction((tx) => notes.label(tx, room))
      const { other, name, kind } = (await device.room(room)) ?? {}
      if (kind === 'group') return name || 'a group'
      const member = await memberOf(device, room)
      // What a guest is called is the guest's own word.
      if (kind === 'guest') return `${member?.profile?.name ?? label ?? shortName(other ?? member?.address)} (Guest)`
      const known = member?.profile?.name ?? member?.profile?.foreignAddress
      // Written down for the time when they have left, and with them their profile.
      if (known && known !== label) await storage.transaction((tx) => notes.setLabel(tx, room, known))
      return known ?? label ?? shortName(other ?? member?.address)
    },
    async personOf(room, account) {
      if (account === device.address) return 'you'
      const member = (await device.members(room).catch(() => [])).find(({ address }) => address === account)
      if (member?.profile) return member.profile.name ?? member.profile.foreignAddress ?? shortName(account)
      // Known from a conversation between the two.
      const direct = (await device.rooms()).find(({ other }) => other === account)
      return direct ? this.nameOf(direct.id) : shortName(account)
    },
    async memberCalled(room, name) {
      const wanted = name.toLowerCase()
      const found = (await device.members(room)).filter(
        ({ own, address, profile }) =>
          !own &&
          (profile?.name?.toLowerCase() === wanted || profile?.foreignAddress === name || address.endsWith(name)),
      )
      return found.length === 1 ? found[0]?.address : undefined
    },
    async otherOf(room) {
      const known = await device.room(room)
      if (known?.kind === 'group') return undefined
      return known?.other ?? (await memberOf(device, room))?.address
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
