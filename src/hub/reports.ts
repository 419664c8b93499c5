import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'

/** What somebody is reported for. */
export type ReportReason = 'spam' | 'abuse' | 'impersonation' | 'other'

/**
 * Somebody reports another account of a conversation that both are or were in. It is taken down in the compliance log:
 * who, whom, where and for what, never what was said, which the hub cannot read.
 *
 * Errors: not-found (no such conversation of the asker's, or the account was not in it).
 */
export async function report(
  ctx: HubContext,
  asker: Asker,
  { room: id, account, reason }: { room: string; account: string; reason: ReportReason },
): Promise<void> {
  await ctx.database.transaction(async (tx) => {
    const members = await tx.query<{ account: string }>(
      'select m.account from hub.member m join hub.room r on r.no = m.room_no where r.id = $1 and m.account = any($2::text[])',
      [id, [asker.account, account]],
    )
    if (members.length < 2) throw new HubError('not-found')
    await ctx.audit.append(tx, { type: 'report.made', account, reporter: asker.account, room: id, reason })
  })
}
