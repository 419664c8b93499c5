import { type AccountAddress, deviceIdOf, emptyRoster, IdentityError, openManifest } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { putManifestIn } from '../accounts/manifests.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { checkCreation, earlierCreation, insertCreator, insertRoom, type RoomCreation } from '../rooms/create.ts'
import { evaluateCommit, openGroup } from '../rooms/evaluate.ts'
import { recordCommit } from '../rooms/record.ts'
import type { Accepted } from '../rooms/rows.ts'
import { nextLook } from './ending.ts'
import type { EntryRow } from './enter.ts'
import { type InviteRow, lockOpenInvite } from './rows.ts'

export interface GuestCreation {
  invite: string
  manifest: Uint8Array
  certificate: Uint8Array
  creation: RoomCreation
}

/**
 * Makes a guest's account, device and room in one transaction, and only with it uses the link up: the guest's one device
 * and the host's, nobody else. The same again gives the same answer.
 *
 * Errors: as createRoom; not-found (no entry, or the link is closed by now), not-allowed.
 */
export async function createGuestRoom(
  ctx: HubContext,
  guest: GuestCreation,
): Promise<{ accepted: Accepted; lookAt: number }> {
  const { creation } = guest
  if (creation.kind !== 'guest') throw new HubError('malformed')
  checkCreation(ctx, creation)
  const asker = askerOf(ctx, guest.manifest)
  const existing = await ctx.database.query('select 1 from hub.device where device_id = $1', [asker.device])
  if (existing.length > 0) {
    const accepted = await earlierCreation(ctx, asker, creation)
    if (!accepted) throw new HubError('not-allowed')
    return { accepted, lookAt: Number.POSITIVE_INFINITY }
  }
  const at = ctx.clock()
  const group = await openGroup(ctx, { id: creation.room, kind: 'guest' }, creation.groupInfo, at)
  const facts = { kind: 'guest', owner: asker.account, accounts: undefined, removals: [] } as const
  const evaluation = await evaluateCommit(ctx, asker, facts, { group, roster: emptyRoster }, creation.commit, at)
  const own = evaluation.after.filter(({ address }) => address === asker.account)
  if (evaluation.external || own.length !== 1 || own[0]!.accountKind !== 'guest') throw new HubError('bad-commit')

  return ctx.database.transaction(async (tx) => {
    const invite = await lockOpenInvite(ctx, tx, guest.invite)
    const entry = await readyEntry(tx, invite, asker.account)
    if (evaluation.after.some(({ address }) => address !== asker.account && address !== invite.host))
      throw new HubError('not-allowed')
    await insertAccount(ctx, tx, entry)
    await putManifestIn(ctx, tx, { manifest: guest.manifest, certificates: [guest.certificate] })
    const room = await insertRoom(tx, asker, creation, at)
    if (!room) throw new HubError('not-allowed')
    await insertCreator(tx, room, asker, evaluation.before[0]!.index, [])
    const invited = { account: invite.host, standing: invite.approval ? 'accepted' : 'requested' } as const
    const submission = creation.commit
    const accepted = await recordCommit(ctx, tx, {
      room,
      asker,
      submission,
      evaluation,
      at,
      standing: undefined,
      invited,
    })
    const lookAt = nextLook(ctx, accepted.at, { endsAt: accepted.at + invite.idle_ms, idleMs: invite.idle_ms })
    await tx.query(
      `insert into hub.guest (account, device_id, room_no, invite, host, idle_ms, look_at)
        values ($1, $2, $3, $4, $5, $6, $7)`,
      [asker.account, asker.device, room.no, invite.id, invite.host, invite.idle_ms, lookAt],
    )
    await tx.query('update hub.invite set uses = uses + 1 where id = $1', [invite.id])
    await tx.query('delete from hub.guest_entry where invite = $1 and ($2 or address = $3)', [
      invite.id,
      invite.single_use,
      asker.account,
    ])
    return { accepted, lookAt }
  })
}

/** Who asks, as the manifest says; its signature is looked at when it is stored, under the key of the entry. */
function askerOf(ctx: HubContext, document: Uint8Array): Asker {
  if (document.length > ctx.settings.documentBytes) throw new HubError('too-large')
  try {
    const { manifest } = openManifest(document)
    const [device, ...more] = manifest.devices
    if (!device || more.length > 0 || device.kind !== 'guest' || manifest.number !== 1)
      throw new HubError('not-allowed')
    return {
      device: deviceIdOf(ctx.crypto, device.deviceKey),
      account: manifest.account,
      deviceKind: 'guest',
      accountKind: 'guest',
    }
  } catch (cause) {
    if (cause instanceof IdentityError) throw new HubError('malformed', { cause })
    throw cause
  }
}

async function readyEntry(tx: Transaction, invite: InviteRow, account: AccountAddress): Promise<EntryRow> {
  const [entry] = await tx.query<EntryRow>(
    "select * from hub.guest_entry where invite = $1 and address = $2 and state = 'ready'",
    [invite.id, account],
  )
  if (!entry) throw new HubError('not-found')
  return entry
}

async function insertAccount(ctx: HubContext, tx: Transaction, entry: EntryRow): Promise<void> {
  await tx.query(
    `insert into hub.account (address, account_key, kind, endorsement, endorsed_until, first_contact, created_at)
      values ($1, $2, 'guest', $3, $4, 'nobody', $5)`,
    [entry.address, entry.account_key, entry.endorsement, entry.at + ctx.settings.endorsementMs, ctx.clock()],
  )
  await ctx.audit.append(tx, { type: 'account.created', account: entry.address, accountKind: 'guest' })
}
