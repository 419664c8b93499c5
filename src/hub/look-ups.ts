import { type AccountAddress, IdentityError, parseAccountAddress } from '../identity/index.ts'
import { freshEndorsement } from './accounts/endorsements.ts'
import { approach } from './admission.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'
import { handleForm, networkForm } from './preferences.ts'

export interface Found {
  account: AccountAddress
  endorsement: Uint8Array
}

/**
 * The account behind a handle. One that does not exist, that has blocked the asker, takes nobody, or has not opted in to
 * the asker's network gives the same answer.
 *
 * Errors: not-reachable, blocked (by the asker).
 */
export async function findByHandle(ctx: HubContext, asker: Asker, handle: string): Promise<Found> {
  const name = handle.trim().toLowerCase()
  const [row] = await ctx.database.query<{ account: string }>('select account from hub.handle where handle = $1', [
    handleForm.test(name) ? name : '',
  ])
  return found(ctx, asker, row?.account)
}

/** Whether an account may ask for identifiers of a network behind an edge. Errors: not-opted-in, not-allowed. */
export async function checkForeignLookUp(ctx: HubContext, asker: Asker, network: string): Promise<void> {
  // Who is behind an edge reaches this messenger through it, and no other network.
  if (asker.accountKind === 'edge') throw new HubError('not-allowed')
  if (!networkForm.test(network)) throw new HubError('not-opted-in')
  const opted = await ctx.database.query('select from hub.reachability where account = $1 and network = $2', [
    asker.account,
    network,
  ])
  if (opted.length === 0) throw new HubError('not-opted-in')
}

/**
 * What an edge has answered: believed only when the account is one of its own, behind that network.
 *
 * Errors: not-reachable, blocked (by the asker).
 */
export async function acceptForeign(
  ctx: HubContext,
  asker: Asker,
  edge: { network: string; operator: string },
  account: string,
): Promise<Found> {
  if (!isAccountAddress(account)) throw new HubError('not-reachable')
  const [row] = await ctx.database.query<{ address: string }>(
    "select address from hub.account where address = $1 and kind = 'edge' and network = $2 and operator = $3",
    [account, edge.network, edge.operator],
  )
  return found(ctx, asker, row?.address)
}

async function found(ctx: HubContext, asker: Asker, account: string | undefined): Promise<Found> {
  // The unknown takes the way of the known, to take its time as well.
  const target = (
    await ctx.database.transaction((tx) => approach(tx, asker, [account ?? 'mimi://unknown.invalid/u/-']))
  ).get(account ?? '')
  if (!target) throw new HubError('not-reachable')
  const { decision } = target
  if (!decision.allowed && decision.code !== 'consent-required') throw new HubError(decision.code)
  return { account: target.account, endorsement: await freshEndorsement(ctx, target.account) }
}

/** An empty answer of an edge, or one that cannot be an account, is nobody. */
function isAccountAddress(text: string): boolean {
  try {
    return parseAccountAddress(text) === text
  } catch (error) {
    if (error instanceof IdentityError) return false
    throw error
  }
}
