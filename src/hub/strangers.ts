import type { Queryable } from '../store/index.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'

const hour = 3_600_000

/** Reaching a stranger takes two steps that are counted: asking for KeyPackages or consent, and making the room. */
const steps = 2

/** Counts one more step of the asker towards a stranger in this hour. Errors: rate-limited. */
export async function countStranger(ctx: HubContext, tx: Queryable, asker: Asker): Promise<void> {
  const now = ctx.clock()
  const [row] = await tx.query<{ strangers: number }>(
    `insert into hub.approach (account, hour, strangers) values ($1, $2, 1)
      on conflict (account, hour) do update set strangers = hub.approach.strangers + 1 returning strangers`,
    [asker.account, Math.floor(now / hour)],
  )
  if (row && row.strangers > steps * ctx.settings.strangersPerHour)
    throw new HubError('rate-limited', { retryAfterMs: hour - (now % hour) })
}
