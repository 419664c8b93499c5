import { type AccountAddress, newAccountAddress } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { endorse, freshEndorsement } from '../accounts/endorsements.ts'
import type { HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { takeKeyPackages } from '../key-packages.ts'
import { wake } from '../wake-ups.ts'
import { type InviteRow, isPin, lockOpenInvite } from './rows.ts'

export interface InviteEntry {
  /** Somebody was asked to let the guest in; the rest is empty until then. */
  waiting: boolean
  account: string
  endorsement: Uint8Array
  host: string
  manifest: Uint8Array
  hostEndorsement: Uint8Array
  keyPackages: Uint8Array[]
}

export interface EntryRow {
  account_key: Uint8Array
  address: AccountAddress
  endorsement: Uint8Array
  state: 'waiting' | 'ready' | 'denied'
  claims: number
  at: number
}

type Outcome =
  | 'wrong-pin'
  | 'waiting'
  | { entry: EntryRow; invite: InviteRow; manifest: Uint8Array; packages: Uint8Array[] }

/**
 * Somebody with a link asks for an account, under a key that the gateway has seen used. Who asks again under the same key
 * gets the same. No account is made here, and the link is not used up; a wrong PIN counts.
 *
 * Errors: not-found (unknown, used, expired, revoked, no tries left, turned away), wrong-pin, malformed, too-large,
 * rate-limited, no-key-packages.
 */
export async function enterInvite(
  ctx: HubContext,
  ask: { invite: string; pin: Uint8Array; accountKey: Uint8Array; introduction: Uint8Array },
): Promise<InviteEntry> {
  if (ask.accountKey.length !== 32) throw new HubError('malformed')
  if (ask.introduction.length > ctx.settings.guestDocumentBytes) throw new HubError('too-large')
  const outcome = await ctx.database.transaction(async (tx): Promise<Outcome> => {
    const invite = await lockOpenInvite(ctx, tx, ask.invite)
    if (!isPin(invite, ask.pin)) {
      // The count has to outlive the refusal, so nothing is thrown in here.
      await tx.query('update hub.invite set pin_tries = pin_tries - 1 where id = $1', [invite.id])
      return 'wrong-pin'
    }
    const entry = (await readEntry(tx, invite.id, ask.accountKey)) ?? (await addEntry(ctx, tx, invite, ask))
    if (entry.state === 'denied') throw new HubError('not-found')
    if (entry.state === 'waiting') return 'waiting'
    if (entry.claims >= ctx.settings.guestClaims) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
    await tx.query('update hub.guest_entry set claims = claims + 1 where invite = $1 and account_key = $2', [
      invite.id,
      ask.accountKey,
    ])
    return { entry, invite, ...(await takeKeyPackages(ctx, tx, invite.host)) }
  })
  if (outcome === 'wrong-pin') throw new HubError('wrong-pin')
  const none = new Uint8Array()
  if (outcome === 'waiting')
    return {
      waiting: true,
      account: '',
      endorsement: none,
      host: '',
      manifest: none,
      hostEndorsement: none,
      keyPackages: [],
    }
  const { entry, invite, manifest, packages } = outcome
  const hostEndorsement = await freshEndorsement(ctx, invite.host)
  const { address: account, endorsement } = entry
  return { waiting: false, account, endorsement, host: invite.host, manifest, hostEndorsement, keyPackages: packages }
}

async function readEntry(tx: Transaction, invite: string, accountKey: Uint8Array): Promise<EntryRow | undefined> {
  const [entry] = await tx.query<EntryRow>('select * from hub.guest_entry where invite = $1 and account_key = $2', [
    invite,
    accountKey,
  ])
  return entry
}

async function addEntry(
  ctx: HubContext,
  tx: Transaction,
  invite: InviteRow,
  { accountKey, introduction }: { accountKey: Uint8Array; introduction: Uint8Array },
): Promise<EntryRow> {
  const [count] = await tx.query<{ count: number }>(
    'select count(*)::int4 as count from hub.guest_entry where invite = $1',
    [invite.id],
  )
  // Refused, not forgotten: somebody who floods a link must not drive out who waits already.
  if ((count?.count ?? 0) >= ctx.settings.guestEntries) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
  const address = newAccountAddress(ctx.crypto, ctx.provider)
  const { endorsement } = endorse(ctx, { address, accountKey, kind: 'guest' })
  const state = invite.approval ? 'waiting' : 'ready'
  const at = ctx.clock()
  await tx.query(
    `insert into hub.guest_entry (invite, account_key, address, endorsement, introduction, state, at)
      values ($1, $2, $3, $4, $5, $6, $7)`,
    [invite.id, accountKey, address, endorsement, introduction, state, at],
  )
  if (state === 'waiting') {
    const devices = await tx.query<{ device_id: string }>(
      'select device_id from hub.device where account = $1 and unlinked_at is null',
      [invite.host],
    )
    tx.afterCommit(() => {
      for (const { device_id } of devices) wake(ctx.bus, device_id, { kind: 'consent' })
    })
  }
  return { account_key: accountKey, address, endorsement, state, claims: 0, at }
}
