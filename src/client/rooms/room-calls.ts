import { type AccountAddress, type Role, rolesIn, safetyNumber } from '../../identity/index.ts'
import { expect } from '../connection/wire.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { accounts, type MemberLeaf, ownProfile, rooms } from '../state/records.ts'
import { inRoom, lookIntoRoom } from '../state/room-work.ts'
import type { Device, Member, RoomStanding, StorageTx } from '../types.ts'
import { roomView, tellRoom, visible } from './announce.ts'
import { capabilitiesOf } from './capabilities.ts'
import { groupEpoch } from './group-state.ts'
import { directRoom } from './reach.ts'
import { markRead } from './receipts.ts'
import { postureOf } from './roster.ts'
import { sendAll } from './send-calls.ts'
import type { Workers } from './workers.ts'

type RoomCalls = Pick<
  Device,
  | 'rooms'
  | 'room'
  | 'createDirectRoom'
  | 'accept'
  | 'decline'
  | 'leave'
  | 'send'
  | 'sendAll'
  | 'markRead'
  | 'typing'
  | 'capabilities'
  | 'posture'
  | 'members'
  | 'safetyNumber'
>

/** What a device does in its rooms. */
export function roomCalls(context: Context, workers: Workers): RoomCalls {
  const stand = (room: Parameters<Device['accept']>[0], standing: RoomStanding) =>
    inRoom(context, room, async (work) => {
      if (!work.record) throw new ClientError('no-such-room')
      if (work.record.standing === standing) return
      // Whoever accepts a stranger shows who they are.
      work.update({ standing, ...(standing === 'accepted' && { profileOwed: true }) })
      if (standing === 'left') {
        work.update({ joined: false, enter: false })
        work.forgetGroup()
      }
      await tellRoom(context, work)
    })
  return {
    async rooms() {
      const all = await context.storage.transaction((tx) => rooms.list(tx))
      return all.filter(({ value }) => visible(value)).map(({ key, value }) => roomView(key, value))
    },
    room: (room) =>
      lookIntoRoom(context, room, async ({ record }) =>
        record && visible(record) ? roomView(room, record) : undefined,
      ),
    // One at a time, so that asking twice gives one room.
    createDirectRoom: (address) => context.alone(`direct ${address}`, () => directRoom(context, workers, address)),

    async accept(room) {
      expect(await context.request({ case: 'answerRoom', value: { room, accept: true } }), 'done')
      await stand(room, 'accepted')
      workers.send(room)
    },
    async decline(room) {
      expect(await context.request({ case: 'answerRoom', value: { room, accept: false } }), 'done')
      await stand(room, 'declined')
      workers.send(room)
    },
    async leave(room) {
      expect(await context.request({ case: 'leaveRoom', value: { room } }), 'done')
      await stand(room, 'left')
      workers.send(room)
    },

    async send(room, content, { key, within } = {}) {
      const one = { content, ...(key && { key }) }
      const stored = within && ((tx: StorageTx, [id]: readonly (Uint8Array | undefined)[]) => id && within(tx, id))
      return (await sendAll(context, workers, room, [one], stored))[0]!
    },
    sendAll: (room, messages, within) => sendAll(context, workers, room, messages, within),

    markRead: (room, messageId) => markRead(context, room, messageId),
    typing: (room, on = true) => context.typing.say(room, on),
    capabilities: (room) => capabilitiesOf(context, room),

    posture: (room) => lookIntoRoom(context, room, async (work) => postureOf(await work.roster(), context.settings)),
    members: (room) =>
      lookIntoRoom(context, room, async (work) => {
        const { leaves } = await work.roster()
        const group = await groupEpoch(work)
        return membersOf(context, work.tx, leaves, group && rolesIn(group.room, group.accounts))
      }),
    safetyNumber: (room) =>
      lookIntoRoom(context, room, async ({ tx, record }) => {
        if (!record) throw new ClientError('no-such-room')
        const known = record.other && (await accounts.get(tx, record.other))
        if (!record.other || !known) throw new ClientError('not-joined', 'nobody to compare with is known')
        const { address, accountKey } = context.self
        return safetyNumber(context.crypto, { address, accountKey }, { ...known, address: record.other })
      }),
  }
}

async function membersOf(
  context: Context,
  tx: StorageTx,
  leaves: readonly MemberLeaf[],
  roles?: ReadonlyMap<AccountAddress, Role>,
): Promise<Member[]> {
  const members = new Map<AccountAddress, Member>()
  for (const { address, accountKind, deviceId, deviceKind, operator, network } of leaves) {
    const own = address === context.self.address
    const profile = own ? await ownProfile.get(tx) : (await accounts.get(tx, address))?.profile
    const role = roles?.get(address)
    const member = members.get(address) ?? {
      address,
      accountKind,
      own,
      devices: [],
      ...(operator && { operator }),
      ...(network && { network }),
      ...(profile && { profile }),
      ...(role && { role }),
    }
    member.devices.push({ deviceId, kind: deviceKind })
    members.set(address, member)
  }
  return [...members.values()]
}
