import type { Transaction } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { type EntryKey, tellAnswered } from './answers.ts'
import { endGuests } from './end.ts'
import { checkInviteId, type InviteRow, isOpen, lockOpenInvite, lockOwnInvite } from './rows.ts'

export interface InvitePut {
  invite: string
  /** 32 bytes, or empty: no PIN is asked. */
  pin: Uint8Array
  approval: boolean
  singleUse: boolean
  /** Milliseconds; 0: the default. */
  expiresInMs: number
  idleMs: number
  shown: Uint8Array
  /** The link in whose place this one comes; empty: none. */
  replaces: string
}

/**
 * Registers a link. The same id again, by the same account, changes nothing. Gives what holds, times of the provider's
 * choice included.
 *
 * Errors: unsupported (no links are made here), malformed, too-large, not-allowed (a guest, an edge, too many links, somebody else's id), not-found (`replaces`).
 */
export async function putInvite(ctx: HubContext, asker: Asker, put: InvitePut): Promise<InviteOptions> {
  const { inviteMs, inviteMostMs, guestIdleMs, guestIdleMostMs, guestDocumentBytes, pinTries } = ctx.settings
  if (asker.accountKind === 'guest' || asker.accountKind === 'edge') throw new HubError('not-allowed')
  if (!ctx.settings.guests) throw new HubError('unsupported')
  if (put.pin.length !== 0 && put.pin.length !== 32) throw new HubError('malformed')
  if (put.shown.length > guestDocumentBytes) throw new HubError('too-large')
  checkInviteId(put.invite)
  const now = ctx.clock()
  return ctx.database.transaction(async (tx) => {
    await tx.query('select from hub.account where address = $1 for update', [asker.account])
    const [known] = await tx.query<InviteRow>('select * from hub.invite where id = $1', [put.invite])
    if (known) {
      if (known.host !== asker.account) throw new HubError('not-allowed')
      return optionsOf(known)
    }
    if (put.replaces !== '') await close(ctx, tx, await lockOwnInvite(tx, asker, put.replaces))
    const [count] = await tx.query<{ count: number }>(
      'select count(*)::int4 as count from hub.invite where host = $1 and revoked_at is null and expires_at > $2',
      [asker.account, now],
    )
    if ((count?.count ?? 0) >= ctx.settings.invites) throw new HubError('not-allowed')
    const [made] = await tx.query<InviteRow>(
      `insert into hub.invite (id, host, pin, pin_tries, approval, single_use, expires_at, idle_ms, shown, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *`,
      [
        put.invite,
        asker.account,
        put.pin.length === 0 ? null : put.pin,
        pinTries,
        put.approval,
        put.singleUse,
        now + Math.min(put.expiresInMs || inviteMs, inviteMostMs),
        Math.min(put.idleMs || guestIdleMs, guestIdleMostMs),
        put.shown,
        now,
      ],
    )
    return optionsOf(made!)
  })
}

export interface WaitingGuest {
  invite: string
  account: string
  introduction: Uint8Array
}

export interface InviteSummary {
  invite: string
  pin: boolean
  approval: boolean
  singleUse: boolean
  expiresMs: number
  idleMs: number
  open: boolean
  revoked: boolean
  pinTries: number
  waiting: WaitingGuest[]
  chats: { account: string; room: string }[]
}

/** The asker's links, newest first, with who waits and the chats that go on. */
export async function listInvites(ctx: HubContext, asker: Asker): Promise<InviteSummary[]> {
  const rows = await ctx.database.query<InviteRow>(
    'select * from hub.invite where host = $1 order by created_at desc, id limit $2',
    [asker.account, 2 * ctx.settings.invites],
  )
  const waiting = await waitingGuests(ctx, asker)
  const chats = await ctx.database.query<{ invite: string; account: string; room: string }>(
    `select g.invite, g.account, r.id as room from hub.guest g join hub.room r on r.no = g.room_no
      where g.host = $1 and g.ended is null`,
    [asker.account],
  )
  return rows.map((row) => ({
    invite: row.id,
    pin: row.pin !== null,
    approval: row.approval,
    singleUse: row.single_use,
    expiresMs: row.expires_at,
    idleMs: row.idle_ms,
    open: isOpen(ctx, row),
    revoked: row.revoked_at !== null,
    pinTries: row.pin_tries,
    waiting: waiting.filter(({ invite }) => invite === row.id),
    chats: chats.filter(({ invite }) => invite === row.id).map(({ account, room }) => ({ account, room })),
  }))
}

/** Guests that somebody of the asker's account has to let in. */
export async function waitingGuests(ctx: HubContext, asker: Asker): Promise<WaitingGuest[]> {
  return ctx.database.query<WaitingGuest>(
    `select e.invite, e.address as account, e.introduction
       from hub.invite i join hub.guest_entry e on e.invite = i.id and e.state = 'waiting'
      where i.host = $1 and i.revoked_at is null and i.expires_at > $2 order by e.at limit $3`,
    [asker.account, ctx.clock(), ctx.settings.invites],
  )
}

/** Closes a link at once; its chats end with it unless they are kept. Errors: not-found. */
export async function revokeInvite(ctx: HubContext, asker: Asker, id: string, keepChats: boolean): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    const invite = await lockOwnInvite(tx, asker, id)
    await close(ctx, tx, invite)
    if (!keepChats) await endGuests(ctx, tx, { invite: invite.id }, 'revoked')
  })
}

async function close(ctx: HubContext, tx: Transaction, { id }: InviteRow): Promise<void> {
  await tx.query('update hub.invite set revoked_at = coalesce(revoked_at, $2) where id = $1', [id, ctx.clock()])
  const gone = await tx.query<EntryKey>('delete from hub.guest_entry where invite = $1 returning account_key', [id])
  tellAnswered(ctx, tx, id, gone)
}

/** An open link lets somebody in for longer. Errors: not-found (none of the asker's, or closed). */
export async function extendInvite(
  ctx: HubContext,
  asker: Asker,
  id: string,
  expiresInMs: number,
): Promise<InviteOptions> {
  const { inviteMs, inviteMostMs } = ctx.settings
  return ctx.database.transaction(async (tx) => {
    const invite = await lockOwnInvite(tx, asker, id)
    if (!isOpen(ctx, invite)) throw new HubError('not-found')
    const expiresAt = ctx.clock() + Math.min(expiresInMs || inviteMs, inviteMostMs)
    const [extended] = await tx.query<InviteRow>(
      'update hub.invite set expires_at = greatest(expires_at, $2) where id = $1 returning *',
      [id, expiresAt],
    )
    return optionsOf(extended!)
  })
}

/** Lets a waiting guest in, or not. Errors: not-found. */
export async function answerGuest(
  ctx: HubContext,
  asker: Asker,
  { invite, account, accept }: { invite: string; account: string; accept: boolean },
): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    await lockOwnInvite(tx, asker, invite)
    const answered = await tx.query<EntryKey>(
      `update hub.guest_entry set state = $3, at = $4 where invite = $1 and address = $2 and state <> 'denied'
        returning account_key`,
      [invite, account, accept ? 'ready' : 'denied', ctx.clock()],
    )
    if (answered.length === 0) throw new HubError('not-found')
    tellAnswered(ctx, tx, invite, answered)
  })
}

export type InviteOptions = Pick<
  InviteSummary,
  'pin' | 'pinTries' | 'approval' | 'singleUse' | 'expiresMs' | 'idleMs'
> & {
  shown: Uint8Array
}

/** What somebody who holds a link is shown. Nothing is used up by looking. Errors: not-found. */
export async function openInvite(ctx: HubContext, id: string): Promise<InviteOptions> {
  return optionsOf(await lockOpenInvite(ctx, ctx.database, id))
}

function optionsOf(row: InviteRow): InviteOptions {
  return {
    pin: row.pin !== null,
    pinTries: row.pin_tries,
    approval: row.approval,
    singleUse: row.single_use,
    expiresMs: row.expires_at,
    idleMs: row.idle_ms,
    shown: row.shown,
  }
}
