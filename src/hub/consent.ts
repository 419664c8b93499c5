import type { Queryable, Transaction } from '../store/index.ts'
import { approach } from './admission.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'
import { countStranger } from './strangers.ts'
import { wake } from './wake-ups.ts'

/** Requests and answers told at once; the newest, when there are more. */
const mostTold = 100

/**
 * Asks another account to be allowed to write to it. Nothing but the request crosses. Asking again is the same request.
 *
 * Errors: not-reachable, blocked, not-opted-in, rate-limited.
 */
export async function requestConsent(ctx: HubContext, asker: Asker, account: string): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    const target = (await approach(tx, asker, [account])).get(account)
    if (!target || account === asker.account) throw new HubError('not-reachable')
    const { decision } = target
    if (!decision.allowed && decision.code !== 'consent-required') throw new HubError(decision.code)
    if (decision.allowed && decision.standing === 'accepted') return
    await countStranger(ctx, tx, asker)
    await tx.query(
      `insert into hub.consent (owner, peer, state, at) values ($1, $2, 'requested', $3)
        on conflict (owner, peer) do update set at = excluded.at
          where hub.consent.state = 'requested' and hub.consent.at <= $4`,
      [account, asker.account, ctx.clock(), ctx.clock() - ctx.settings.consentMs],
    )
    await wakeAccount(ctx, tx, account)
  })
}

/**
 * The time of an answer, for `on conflict do update` of hub.consent. It stays 0 where nobody has asked: what is answered
 * unasked is told to nobody, or else a stranger could reach anyone with it, whatever they have chosen.
 */
export function answeredAt(now: string): string {
  return `case when hub.consent.at > 0 then ${now}::int8 else 0::int8 end`
}

/** Grants or denies another account to write; also without having been asked, and to take a grant back. */
export async function answerConsent(ctx: HubContext, asker: Asker, account: string, granted: boolean): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    const known = await tx.query('select from hub.account where address = $1', [account])
    if (known.length === 0 || account === asker.account) throw new HubError('not-reachable')
    const [answer] = await tx.query<{ at: number }>(
      `insert into hub.consent (owner, peer, state, at) values ($1, $2, $3, 0)
        on conflict (owner, peer) do update set state = excluded.state, at = ${answeredAt('$4')} returning at`,
      [asker.account, account, granted ? 'granted' : 'denied', ctx.clock()],
    )
    if (answer && answer.at > 0) await wakeAccount(ctx, tx, account)
  })
}

export interface ConsentNews {
  /** Who asks this account. */
  requests: { account: string; at: number }[]
  /** Who has answered this account. */
  answers: { account: string; granted: boolean; at: number }[]
}

/** Requests that wait and answers that came, since `after` (milliseconds) and not longer ago than text waits for them. */
export async function readConsents(ctx: HubContext, asker: Asker, after: number): Promise<ConsentNews> {
  const since = Math.max(after, ctx.clock() - ctx.settings.consentMs)
  const requests = await ctx.database.query<{ account: string; at: number }>(
    `select c.peer as account, c.at from hub.consent c
      where c.owner = $1 and c.state = 'requested' and c.at > $2
        and not exists (select 1 from hub.block b where b.owner = $1 and b.blocked = c.peer)
      order by c.at desc limit $3`,
    [asker.account, since, mostTold],
  )
  const answers = await ctx.database.query<{ account: string; granted: boolean; at: number }>(
    `select c.owner as account, c.state = 'granted' as granted, c.at from hub.consent c
      where c.peer = $1 and c.state <> 'requested' and c.at > $2
        and not exists (select 1 from hub.block b where b.owner = $1 and b.blocked = c.owner)
      order by c.at desc limit $3`,
    [asker.account, since, mostTold],
  )
  return { requests: requests.reverse(), answers: answers.reverse() }
}

async function wakeAccount(ctx: HubContext, tx: Transaction, account: string): Promise<void> {
  const devices = await linkedDevices(tx, account)
  tx.afterCommit(() => {
    for (const device of devices) wake(ctx.bus, device, { kind: 'consent' })
  })
}

async function linkedDevices(tx: Queryable, account: string): Promise<string[]> {
  const rows = await tx.query<{ device_id: string }>(
    'select device_id from hub.device where account = $1 and unlinked_at is null',
    [account],
  )
  return rows.map((row) => row.device_id)
}
