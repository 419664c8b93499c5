import { concatBytes, equalBytes, utf8 } from '../../crypto/index.ts'
import { type AccountAddress, newAccountAddress } from '../../identity/index.ts'
import type { HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { endorse, freshEndorsement } from './endorsements.ts'

/** What a verified access token says. `operator` and `network` belong to an edge. */
export interface TokenClaims {
  subject: string
  kind: 'person' | 'business' | 'edge'
  operator?: string | undefined
  network?: string | undefined
}

export interface EndorsedAccount {
  address: AccountAddress
  endorsement: Uint8Array
}

/**
 * The account of a token's subject, made when there is none. Idempotent: subject and key give the same address, with a
 * fresh endorsement when the old one is past its half.
 *
 * Errors: malformed, bad-token, account-exists, not-allowed.
 */
export async function createAccount(
  ctx: HubContext,
  token: TokenClaims,
  accountKey: Uint8Array,
): Promise<EndorsedAccount> {
  if (accountKey.length !== 32) throw new HubError('malformed')
  const subject = subjectHash(ctx, token, accountKey)
  const address = await ctx.database.transaction(async (tx) => {
    const fresh = newAccountAddress(ctx.crypto, ctx.provider)
    const claimed = await tx.query(
      'insert into hub.subject (subject, account) values ($1, $2) on conflict (subject) do nothing returning account',
      [subject, fresh],
    )
    if (claimed.length > 0) {
      const { kind, operator = null, network = null } = token
      const { endorsement, until } = endorse(ctx, { ...token, address: fresh, accountKey })
      await tx.query(
        `insert into hub.account (address, account_key, kind, operator, network, endorsement, endorsed_until, created_at)
          values ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [fresh, accountKey, kind, operator, network, endorsement, until, ctx.clock()],
      )
      await ctx.audit.append(tx, {
        type: 'account.created',
        account: fresh,
        accountKind: kind,
        ...(network === null ? {} : { network }),
      })
      return fresh
    }
    const [account] = await tx.query<{
      address: AccountAddress
      account_key: Uint8Array
      kind: string
      operator: string | null
      network: string | null
    }>(
      `select a.address, a.account_key, a.kind, a.operator, a.network
         from hub.subject s join hub.account a on a.address = s.account where s.subject = $1`,
      [subject],
    )
    if (!account) throw new HubError('unavailable')
    if (!equalBytes(account.account_key, accountKey)) throw new HubError('account-exists')
    const same =
      account.kind === token.kind &&
      account.operator === (token.operator ?? null) &&
      account.network === (token.network ?? null)
    if (!same) throw new HubError('not-allowed')
    return account.address
  })
  return { address, endorsement: await freshEndorsement(ctx, address) }
}

/**
 * The subject under the hub's key, so that the table tells nobody who has an account. An edge's token speaks for its
 * operator, who opens an account for each user of the network: there the account key is part of the subject.
 */
function subjectHash(ctx: HubContext, { subject, kind }: TokenClaims, accountKey: Uint8Array): Uint8Array {
  const text = utf8(`${kind === 'edge' ? 'edge' : 'person'}\0${subject}\0`)
  return ctx.crypto.hmacSha256(ctx.subjectKey, kind === 'edge' ? concatBytes(text, accountKey) : text)
}
