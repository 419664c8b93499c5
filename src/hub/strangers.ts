import type { Queryable } from '../store/index.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'

const hour = 3_600_000

/** Counts one more stranger that the asker approaches in this hour. Errors: rate-limited. */
export async function countStranger(ctx: HubContext, tx: Queryable, asker: Asker): Promise<void> {
  const now = ctx.clock()
  const [row] = await tx.query<{ strangers: number }>(
    `insert into hub.approach (account, hour, strangers) values ($1, $2, 1)
      on conflict (account, hour) do update set strangers = hub.approach.strangers + 1 returning strangers`,
    [asker.account, Math.floor(now / hour)],
  )
  if (row && row.strangers > ctx.settings.strangersPerHour)
    throw new HubError('rate-limited', { retryAfterMs: hour - (now % hour) })
}
