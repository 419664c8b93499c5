import { equalBytes } from '../../crypto/index.ts'
import { type AccountAddress, encodeRoster, rosterDocuments } from '../../identity/index.ts'
import { encodePublicGroup } from '../../mls/public.ts'
import type { Transaction } from '../../store/index.ts'
import { type Approached, approach } from '../admission.ts'
import type { Standing } from '../contact.ts'
import type { Asker, HubContext } from '../context.ts'
import { packDocuments } from '../documents.ts'
import { HubError } from '../errors.ts'
import { countStranger } from '../strangers.ts'
import { wake } from '../wake-ups.ts'
import type { Evaluation } from './facts.ts'
import { type Accepted, append, type RoomRow, wakeMembers } from './rows.ts'
import type { CommitSubmission } from './submissions.ts'

export interface CommitRecord {
  /** Locked in this transaction; its epoch is the one that the commit ends. */
  room: RoomRow
  asker: Asker
  submission: CommitSubmission
  evaluation: Evaluation
  at: number
  /** Of the asker's account; undefined while the room is being created. */
  standing: Standing | undefined
  /** Who has invited the asker, and where they stand: nothing else is asked about the two. */
  invited?: { account: AccountAddress; standing: 'requested' | 'accepted' }
}

/**
 * Stores an evaluated commit. Invariant: log, epoch, public group, GroupInfo, manifests, mailboxes, members and Welcomes
 * change together. What depends on accounts (links, newest manifests, who may reach whom) is read here, under locks.
 *
 * Errors: as submitCommit.
 */
export async function recordCommit(ctx: HubContext, tx: Transaction, record: CommitRecord): Promise<Accepted> {
  const { room, asker, submission, evaluation, at } = record
  const { added, removed, gone, external } = evaluation
  const removedDevices = removed.map(({ deviceId }) => deviceId)
  if (added.length > 0 && !external && submission.welcome.length === 0) throw new HubError('malformed')
  const concerned = new Set([...added.map(({ address }) => address), ...evaluation.announced])
  const approached = await approach(tx, asker, [...concerned])
  await checkLinks(tx, evaluation)
  checkNewest(evaluation, approached)
  const joined = await joiningAccounts(tx, record)
  const standings = admit(record, joined, approached)
  for (const [account, standing] of standings) if (standing === 'requested') await countRequest(ctx, tx, asker, account)

  const seq = room.next_seq
  await storeGroup(ctx, tx, record, seq)
  // Those that go still get this commit, and nothing after it.
  if (removed.length > 0) {
    await tx.query(
      'update hub.mailbox set leaf = null, until_seq = $3 where room_no = $1 and device_id = any($2::text[])',
      [room.no, removedDevices, seq],
    )
    await tx.query('delete from hub.removal where room_no = $1 and device_id = any($2::text[])', [
      room.no,
      removedDevices,
    ])
  }
  // Proposals are of one epoch: what is left is proposed again.
  await tx.query('update hub.removal set proposal = null where room_no = $1 and proposal is not null', [room.no])
  await storeMembers(ctx, tx, record, standings)
  if (joined.length > 0) await checkGroupOptIns(tx, room)
  await storeAdded(tx, record, seq)
  if (gone.length > 0) await tx.query('delete from hub.direct_pair where room_no = $1', [room.no])
  // The Welcome is told of before the room: it has to be read first.
  if (!external)
    tx.afterCommit(() => {
      for (const { deviceId } of added) {
        ctx.metrics.count('welcomes')
        wake(ctx.bus, deviceId, { kind: 'welcome' })
      }
    })
  return append(ctx, tx, room, {
    kind: 'commit',
    body: submission.commit,
    at,
    by: { device: asker.device, key: submission.key },
  })
}

/** Accounts that a leaf brings in: those never there, and those that had left though a leaf of theirs still was. */
async function joiningAccounts(tx: Transaction, { room, evaluation }: CommitRecord): Promise<AccountAddress[]> {
  const accounts = [...new Set(evaluation.added.map(({ address }) => address))]
  if (accounts.length === 0) return accounts
  const members = await tx.query<{ account: string }>(
    "select account from hub.member where room_no = $1 and account = any($2::text[]) and standing <> 'left'",
    [room.no, accounts],
  )
  return accounts.filter((address) => !members.some(({ account }) => account === address))
}

/** A device that was unlinked meanwhile does not come in, even where an older manifest still lists it. */
async function checkLinks(tx: Transaction, { added }: Evaluation): Promise<void> {
  if (added.length === 0) return
  const linked = await tx.query<{ device_id: string; account: string }>(
    'select device_id, account from hub.device where device_id = any($1::text[]) and unlinked_at is null',
    [added.map(({ deviceId }) => deviceId)],
  )
  const accounts = new Map(linked.map((row) => [row.device_id, row.account]))
  if (added.some(({ deviceId, address }) => accounts.get(deviceId) !== address)) throw new HubError('not-in-manifest')
}

/** A manifest that comes into force is the account's newest: nobody brings in one that has been overtaken. */
function checkNewest({ announced, roster }: Evaluation, approached: Map<string, Approached>): void {
  for (const account of announced) {
    const carried = roster.get(account)
    const newest = approached.get(account)
    const same =
      carried !== undefined &&
      newest?.manifestHash !== undefined &&
      carried.number === newest.manifestNumber &&
      equalBytes(carried.hash, newest.manifestHash)
    if (!same) throw new HubError('old-manifest')
  }
}

/** Where each account that comes in will stand, or why it does not. */
function admit(
  { room, asker, evaluation: { external }, standing, invited }: CommitRecord,
  joined: readonly AccountAddress[],
  approached: Map<string, Approached>,
): Map<AccountAddress, Standing> {
  // Who has not accepted a room does not fill it with others.
  if (joined.length > 0 && (external || standing === 'requested' || standing === 'declined'))
    throw new HubError('not-allowed')
  return new Map(
    joined.map((account) => {
      if (account === invited?.account) return [account, invited.standing]
      const { decision, kind } = approached.get(account) ?? {}
      if (!decision?.allowed) throw new HubError(decision?.code ?? 'not-reachable')
      // Among many a stranger's words cannot be held back, nor refused: a request is a room of two. An edge does hold them
      // back: whoever is behind it is invited there first, and reads nothing before they have accepted.
      if (room.kind === 'group' && decision.standing === 'requested' && kind !== 'edge')
        throw new HubError('consent-required')
      if (room.kind !== 'group' && kind === 'edge' && asker.accountKind === 'edge') throw new HubError('not-reachable')
      return [account, decision.standing]
    }),
  )
}

/** A stranger has one request open with somebody. Without this, leaving and beginning anew would be a way around its limits. */
async function countRequest(ctx: HubContext, tx: Transaction, asker: Asker, account: string): Promise<void> {
  const open = await tx.query(
    "select from hub.member where account = $1 and inviter = $2 and standing = 'requested' limit 1",
    [account, asker.account],
  )
  if (open.length > 0) throw new HubError('request-limit')
  await countStranger(ctx, tx, asker)
}

async function storeGroup(
  ctx: HubContext,
  tx: Transaction,
  { room, submission, evaluation, at }: CommitRecord,
  seq: number,
): Promise<void> {
  const hasEdge = evaluation.after.some(({ accountKind }) => accountKind === 'edge')
  await tx.query('update hub.room set epoch = epoch + 1, has_edge = $2 where no = $1', [room.no, hasEdge])
  room.epoch += 1
  const posture = (edge: boolean) => (edge ? 'edge' : 'native')
  if (room.has_edge !== hasEdge)
    await ctx.audit.append(tx, {
      type: 'room.posture-changed',
      room: room.id,
      from: posture(room.has_edge),
      to: posture(hasEdge),
    })
  room.has_edge = hasEdge
  await tx.query(
    `insert into hub.room_group (room_no, version, public_group, group_info, roster, seq, at)
      values ($1, 1, $2, $3, $4, $5, $6)
      on conflict (room_no) do update set version = hub.room_group.version + 1, public_group = excluded.public_group,
        group_info = excluded.group_info, roster = excluded.roster, seq = excluded.seq, at = excluded.at`,
    [room.no, encodePublicGroup(evaluation.group), submission.groupInfo, encodeRoster(evaluation.roster), seq, at],
  )
}

async function storeMembers(
  ctx: HubContext,
  tx: Transaction,
  { room, asker, evaluation }: CommitRecord,
  standings: Map<AccountAddress, Standing>,
): Promise<void> {
  const { guestMessages, requestMessages } = ctx.settings
  const allowance = room.kind === 'guest' ? guestMessages : requestMessages
  for (const [account, standing] of standings)
    await tx.query(
      `insert into hub.member (room_no, account, standing, allowance, inviter) values ($1, $2, $3, $4, $5)
        on conflict (room_no, account) do update
          set standing = excluded.standing, allowance = excluded.allowance, inviter = excluded.inviter`,
      [room.no, account, standing, allowance, asker.account],
    )
  if (evaluation.gone.length === 0) return
  await tx.query("update hub.member set standing = 'left' where room_no = $1 and account = any($2::text[])", [
    room.no,
    evaluation.gone,
  ])
  await wakeMembers(ctx, tx, room)
}

/** Nobody who is not opted in to a network comes together with somebody behind it, whoever brings them. */
async function checkGroupOptIns(tx: Transaction, room: RoomRow): Promise<void> {
  if (!room.has_edge || room.kind !== 'group') return
  const [row] = await tx.query<{ refused: boolean }>(
    `select exists (
       select 1 from hub.member m join hub.account a on a.address = m.account and a.kind = 'edge'
         join hub.member p on p.room_no = m.room_no join hub.account person on person.address = p.account
        where m.room_no = $1 and person.kind <> 'edge'
          and m.standing in ('requested', 'accepted') and p.standing in ('requested', 'accepted')
          and not exists (select 1 from hub.reachability r where r.account = p.account and r.network = a.network)
     ) as refused`,
    [room.no],
  )
  if (row?.refused) throw new HubError('not-opted-in')
}

/** A device that was added reads the log after this commit; so does one that joined by it. */
async function storeAdded(
  tx: Transaction,
  { room, asker, submission, evaluation, at }: CommitRecord,
  seq: number,
): Promise<void> {
  const { added, external, roster } = evaluation
  if (added.length === 0) return
  const devices = added.map(({ deviceId }) => deviceId)
  await tx.query(
    `insert into hub.mailbox (device_id, room_no, account, leaf, acked)
      select device_id, $1, account, leaf, $2 from unnest($3::text[], $4::text[], $5::int4[]) as a (device_id, account, leaf)
      on conflict (device_id, room_no) do update set leaf = excluded.leaf, acked = excluded.acked, until_seq = null`,
    [room.no, seq, devices, added.map(({ address }) => address), added.map(({ index }) => index)],
  )
  await tx.query('delete from hub.welcome where room_no = $1 and device_id = any($2::text[])', [room.no, devices])
  if (external) return
  await tx.query('insert into hub.welcome_body (room_no, seq, at, welcome, manifests) values ($1, $2, $3, $4, $5)', [
    room.no,
    seq,
    at,
    submission.welcome,
    packDocuments(rosterDocuments(roster)),
  ])
  await tx.query(
    `insert into hub.welcome (device_id, room_no, seq, inviter)
      select device_id, $1, $2, $3 from unnest($4::text[]) as a (device_id)`,
    [room.no, seq, asker.account, devices],
  )
}
