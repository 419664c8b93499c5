import { equalBytes, utf8, concatBytes } from '../../crypto/index.ts'
import {
  type AccountAddress,
  type AccountKind,
  IdentityError,
  issueEndorsement,
  newAccountAddress,
} from '../../identity/index.ts'
import type { Queryable } from '../../store/index.ts'
import type { HubContext } from '../context.ts'
import { HubError } from '../errors.ts'

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

interface AccountRow {
  address: AccountAddress
  account_key: Uint8Array
  kind: AccountKind
  operator: string | null
  network: string | null
  endorsement: Uint8Array
  endorsed_until: number
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
  return ctx.database.transaction(async (tx) => {
    const fresh = newAccountAddress(ctx.crypto, ctx.provider)
    const claimed = await tx.query(
      'insert into hub.subject (subject, account) values ($1, $2) on conflict (subject) do nothing returning account',
      [subject, fresh],
    )
    if (claimed.length === 0) return existingAccount(ctx, tx, subject, token, accountKey)
    const { kind, operator, network } = token
    const { endorsement, until } = endorse(ctx, { address: fresh, accountKey, kind, operator, network })
    await tx.query(
      `insert into hub.account (address, account_key, kind, operator, network, endorsement, endorsed_until, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [fresh, accountKey, kind, operator ?? null, network ?? null, endorsement, until, ctx.clock()],
    )
    return { address: fresh, endorsement }
  })
}

async function existingAccount(
  ctx: HubContext,
  tx: Queryable,
  subject: Uint8Array,
  token: TokenClaims,
  accountKey: Uint8Array,
): Promise<EndorsedAccount> {
  const [account] = await tx.query<AccountRow>(
    `select a.address, a.account_key, a.kind, a.operator, a.network, a.endorsement, a.endorsed_until
       from hub.subject s join hub.account a on a.address = s.account where s.subject = $1 for update of a`,
    [subject],
  )
  if (!account) throw new HubError('unavailable')
  if (!equalBytes(account.account_key, accountKey)) throw new HubError('account-exists')
  const same =
    account.kind === token.kind &&
    account.operator === (token.operator ?? null) &&
    account.network === (token.network ?? null)
  if (!same) throw new HubError('not-allowed')
  return { address: account.address, endorsement: await currentEndorsement(ctx, tx, account) }
}

/** The stored endorsement, or a new one when it is past its half. Only for an account that is in the database. */
export async function currentEndorsement(ctx: HubContext, tx: Queryable, account: AccountRow): Promise<Uint8Array> {
  if (account.endorsed_until - ctx.clock() > ctx.settings.endorsementMs / 2) return account.endorsement
  const { endorsement, until } = endorse(ctx, {
    address: account.address,
    accountKey: account.account_key,
    kind: account.kind,
    operator: account.operator ?? undefined,
    network: account.network ?? undefined,
  })
  await tx.query('update hub.account set endorsement = $2, endorsed_until = $3 where address = $1', [
    account.address,
    endorsement,
    until,
  ])
  return endorsement
}

interface Endorsed {
  address: AccountAddress
  accountKey: Uint8Array
  kind: AccountKind
  operator: string | undefined
  network: string | undefined
}

function endorse(ctx: HubContext, { address, accountKey, kind, operator, network }: Endorsed) {
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

/**
 * The subject under the hub's key, so that the table tells nobody who has an account. An edge's token speaks for its
 * operator, who opens an account for each user of the network: there the account key is part of the subject.
 */
function subjectHash(ctx: HubContext, { subject, kind }: TokenClaims, accountKey: Uint8Array): Uint8Array {
  const text = utf8(`${kind}\0${subject}\0`)
  return ctx.crypto.hmacSha256(ctx.subjectKey, kind === 'edge' ? concatBytes(text, accountKey) : text)
}
