import { type AccountAddress, type AccountKind, IdentityError, issueEndorsement } from '../../identity/index.ts'
import type { HubContext } from '../context.ts'
import { HubError } from '../errors.ts'

interface EndorsedRow {
  address: AccountAddress
  account_key: Uint8Array
  kind: AccountKind
  operator: string | null
  network: string | null
  endorsement: Uint8Array
  endorsed_until: number
}

/**
 * The provider's word on an account that is in the database: the stored one, or a new one when it is past its half. Not
 * to be called inside a transaction that has the account's row.
 */
export async function freshEndorsement(ctx: HubContext, account: string): Promise<Uint8Array> {
  const [row] = await ctx.database.query<EndorsedRow>(
    `select address, account_key, kind, operator, network, endorsement, endorsed_until
       from hub.account where address = $1`,
    [account],
  )
  if (!row) throw new HubError('not-found')
  if (row.endorsed_until - ctx.clock() > ctx.settings.endorsementMs / 2) return row.endorsement
  const { endorsement, until } = endorse(ctx, {
    address: row.address,
    accountKey: row.account_key,
    kind: row.kind,
    operator: row.operator ?? undefined,
    network: row.network ?? undefined,
  })
  await ctx.database.transaction(async (tx) => {
    await tx.query('update hub.account set endorsement = $2, endorsed_until = $3 where address = $1', [
      row.address,
      endorsement,
      until,
    ])
    await ctx.audit.append(tx, { type: 'account.endorsed', account: row.address })
  })
  return endorsement
}

export interface Endorsed {
  address: AccountAddress
  accountKey: Uint8Array
  kind: AccountKind
  operator?: string | undefined
  network?: string | undefined
}

/** A new endorsement and its end in milliseconds. Errors: bad-token (a kind, operator or network nobody would accept). */
export function endorse(ctx: HubContext, { address, accountKey, kind, operator, network }: Endorsed) {
  const now = ctx.clock()
  const until = now + ctx.settings.endorsementMs
  try {
    const endorsement = issueEndorsement(ctx.crypto, ctx.providerKeyPair.privateKey, {
      account: address,
      accountKey,
      kind,
      ...(operator === undefined ? {} : { operator }),
      ...(network === undefined ? {} : { network }),
      notBefore: Math.floor((now - ctx.settings.clockToleranceMs) / 1000),
      notAfter: Math.floor(until / 1000),
    })
    return { endorsement, until }
  } catch (cause) {
    if (cause instanceof IdentityError) throw new HubError('bad-token', { cause })
    throw cause
  }
}
