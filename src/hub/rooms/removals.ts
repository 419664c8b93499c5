import { readVerifiedLeaf } from '../../identity/index.ts'
import {
  applyHandshake,
  decodePublicGroup,
  encodePublicGroup,
  MlsError,
  proposeRemoval,
  publicLeaves,
} from '../../mls/public.ts'
import type { HubContext } from '../context.ts'
import { append, lockRoomNo, nextTime } from './rows.ts'

/** Proposals of one epoch: members hold no more (src/mls/limits.ts). What is beyond follows in the next epoch. */
const mostProposals = 64

/** The hub is the only external sender of its rooms. */
const hubSender = 0

/** Proposes the removal of an account's cut-off devices in every room where that has not happened yet. */
export async function proposeRemovals(ctx: HubContext, account: string): Promise<void> {
  const rooms = await ctx.database.query<{ room_no: number }>(
    'select distinct room_no from hub.removal where account = $1 and proposal is null order by room_no',
    [account],
  )
  for (const { room_no } of rooms) await proposeInRoom(ctx, room_no)
}

/** The same for rooms of all accounts, at most `limit`: what a stop of the process has left undone. */
export async function proposeForgotten(ctx: HubContext, limit: number): Promise<void> {
  const rooms = await ctx.database.query<{ room_no: number }>(
    'select distinct room_no from hub.removal where proposal is null order by room_no limit $1',
    [limit],
  )
  for (const { room_no } of rooms) await proposeInRoom(ctx, room_no)
}

/** The proposals that have to be committed before anything else is said in a room, made now where they are missing. */
export async function pendingProposals(ctx: HubContext, roomNo: number): Promise<Uint8Array[]> {
  await proposeInRoom(ctx, roomNo)
  const rows = await ctx.database.query<{ proposal: Uint8Array }>(
    'select proposal from hub.removal where room_no = $1 and proposal is not null order by leaf',
    [roomNo],
  )
  return rows.map((row) => row.proposal)
}

interface RemovalRow {
  device_id: string
  account: string
  manifest: Uint8Array | null
}

/**
 * In one transaction: each proposal is made for the present epoch, taken into the public group and put into the log, with
 * the newest manifest of the account when it was a manifest that dropped the device.
 */
export async function proposeInRoom(ctx: HubContext, roomNo: number): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    const room = await lockRoomNo(tx, roomNo)
    if (!room) return
    const [made] = await tx.query<{ proposals: number }>(
      'select count(proposal)::int4 as proposals from hub.removal where room_no = $1',
      [roomNo],
    )
    const rows = await tx.query<RemovalRow>(
      `select r.device_id, r.account, m.document as manifest
         from hub.removal r
         join hub.account a on a.address = r.account
         left join hub.manifest m on m.account = r.account and m.number = a.manifest_number and r.manifest_number > 0
        where r.room_no = $1 and r.proposal is null order by r.leaf limit $2`,
      [roomNo, mostProposals - (made?.proposals ?? 0)],
    )
    if (rows.length === 0) return
    const [stored] = await tx.query<{ public_group: Uint8Array }>(
      'select public_group from hub.room_group where room_no = $1',
      [roomNo],
    )
    if (!stored) return
    let group = decodePublicGroup(stored.public_group)
    // By device: a place that was noted can be somebody else's by now.
    const places = new Map<string, number>(
      publicLeaves(group).map(({ identity, index }) => [readVerifiedLeaf(ctx.crypto, identity).deviceId, index]),
    )
    for (const { device_id, account, manifest } of rows) {
      const leaf = places.get(device_id)
      let proposal: Uint8Array
      try {
        if (leaf === undefined) throw new MlsError('invalid-proposal', 'no leaf of this device')
        proposal = await proposeRemoval(ctx.mls, group, leaf, hubSender, ctx.providerKeyPair)
        const applied = await applyHandshake(ctx.mls, group, proposal, () => undefined)
        group = applied.group
      } catch (error) {
        // A leaf that is not there need not go; anything else would block the room for good.
        if (!(error instanceof MlsError)) throw error
        ctx.fault(error, 'removal')
        await tx.query('delete from hub.removal where room_no = $1 and device_id = $2', [roomNo, device_id])
        continue
      }
      await append(ctx, tx, room, {
        kind: 'proposal',
        body: proposal,
        at: nextTime(ctx, room),
        ...(manifest ? { manifest } : {}),
      })
      await tx.query('update hub.removal set proposal = $3 where room_no = $1 and device_id = $2', [
        roomNo,
        device_id,
        proposal,
      ])
      await ctx.audit.append(tx, {
        type: 'room.removal-proposed',
        ...{ room: room.id, account, device: device_id },
        reason: manifest ? 'unlinked' : 'left',
      })
    }
    await tx.query('update hub.room_group set version = version + 1, public_group = $2 where room_no = $1', [
      roomNo,
      encodePublicGroup(group),
    ])
    tx.afterCommit(() => ctx.metrics.count('removals_proposed'))
  })
}
