import type { FirstContact } from './contact.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'
import { endGuests } from './guests/end.ts'

export interface Preferences {
  firstContact: FirstContact
  /** Networks over which the account is reachable. */
  networks: string[]
  handle: string | undefined
  blocked: string[]
}

export interface PreferenceChange {
  firstContact?: FirstContact | undefined
  /** Empty: give the handle up. */
  handle?: string | undefined
  reachable: readonly string[]
  unreachable: readonly string[]
}

/** Networks are few; a list that is longer is a mistake or an attack. */
const mostNetworks = 32
export const networkForm = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/
/** Lower case and plain letters, so that no handle looks like another. */
export const handleForm = /^[a-z](?:[a-z0-9]|[._-](?=[a-z0-9])){2,31}$/

export async function getPreferences(ctx: HubContext, asker: Asker): Promise<Preferences> {
  const [row] = await ctx.database.query<{
    first_contact: FirstContact
    handle: string | null
    networks: string[] | null
    blocked: string[] | null
  }>(
    `select a.first_contact, (select handle from hub.handle where account = $1) as handle,
            (select array_agg(network order by network) from hub.reachability where account = $1) as networks,
            (select array_agg(blocked order by blocked) from hub.block where owner = $1) as blocked
       from hub.account a where a.address = $1`,
    [asker.account],
  )
  if (!row) throw new HubError('unauthenticated')
  return {
    firstContact: row.first_contact,
    handle: row.handle ?? undefined,
    networks: row.networks ?? [],
    blocked: row.blocked ?? [],
  }
}

/**
 * Changes what is given, all of it or nothing. The account's row is locked, so that no commit that was judged before an
 * opt-out is stored after it.
 *
 * Errors: malformed, handle-taken, not-allowed (an edge account has none of these), unsupported (to be reachable over a
 * network that there is not: agreed to today, it would hold on the day on which somebody brings one of that name).
 */
export async function putPreferences(ctx: HubContext, asker: Asker, change: PreferenceChange): Promise<Preferences> {
  const { firstContact, handle, reachable, unreachable } = change
  const networks = [...reachable, ...unreachable]
  if (networks.length > mostNetworks || !networks.every((network) => networkForm.test(network)))
    throw new HubError('malformed')
  if (!reachable.every((network) => ctx.networks?.includes(network) ?? true)) throw new HubError('unsupported')
  if (handle && !handleForm.test(handle)) throw new HubError('malformed')
  if (asker.accountKind === 'edge' && (handle || reachable.length > 0)) throw new HubError('not-allowed')
  await ctx.database.transaction(async (tx) => {
    const [account] = await tx.query<{ first_contact: FirstContact }>(
      'select first_contact from hub.account where address = $1 for update',
      [asker.account],
    )
    if (account && firstContact && firstContact !== account.first_contact) {
      await tx.query('update hub.account set first_contact = $2 where address = $1', [asker.account, firstContact])
      await ctx.audit.append(tx, {
        type: 'first-contact.changed',
        account: asker.account,
        from: account.first_contact,
        to: firstContact,
      })
    }
    if (handle !== undefined) await tx.query('delete from hub.handle where account = $1', [asker.account])
    if (handle) {
      const taken = await tx.query(
        'insert into hub.handle (handle, account) values ($1, $2) on conflict (handle) do nothing returning handle',
        [handle, asker.account],
      )
      if (taken.length === 0) throw new HubError('handle-taken')
    }
    const optedIn = await tx.query<{ network: string }>(
      `insert into hub.reachability (account, network) select $1, n from unnest($2::text[]) as u (n)
        on conflict do nothing returning network`,
      [asker.account, reachable],
    )
    const optedOut = await tx.query<{ network: string }>(
      'delete from hub.reachability where account = $1 and network = any($2::text[]) returning network',
      [asker.account, unreachable],
    )
    for (const [type, rows] of [
      ['network.opted-in', optedIn],
      ['network.opted-out', optedOut],
    ] as const)
      for (const { network } of rows) await ctx.audit.append(tx, { type, account: asker.account, network })
    const [count] = await tx.query<{ count: number }>(
      'select count(*)::int4 as count from hub.reachability where account = $1',
      [asker.account],
    )
    if ((count?.count ?? 0) > mostNetworks) throw new HubError('not-allowed')
  })
  return getPreferences(ctx, asker)
}

/** Blocks an account, or ends that. It holds at once, in rooms of the two as well. Errors: not-reachable, not-allowed. */
export async function block(ctx: HubContext, asker: Asker, account: string, blocked: boolean): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    await tx.query('select from hub.account where address = $1 for update', [asker.account])
    if (!blocked) {
      await tx.query('delete from hub.block where owner = $1 and blocked = $2', [asker.account, account])
      return
    }
    const known = await tx.query('select from hub.account where address = $1', [account])
    if (known.length === 0 || account === asker.account) throw new HubError('not-reachable')
    const [count] = await tx.query<{ count: number }>(
      'select count(*)::int4 as count from hub.block where owner = $1',
      [asker.account],
    )
    if ((count?.count ?? 0) >= ctx.settings.blocks) throw new HubError('not-allowed')
    await tx.query('insert into hub.block (owner, blocked) values ($1, $2) on conflict do nothing', [
      asker.account,
      account,
    ])
    await endGuests(ctx, tx, { between: [asker.account, account] }, 'blocked')
  })
}
