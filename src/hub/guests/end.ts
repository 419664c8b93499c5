import type { Transaction } from '../../store/index.ts'
import type { HubContext } from '../context.ts'
import { lockRoomNo } from '../rooms/rows.ts'
import { wake } from '../wake-ups.ts'
import { endOf, type GuestRow, isDueToWarn, nextLook, tellEnding } from './ending.ts'
import type { GuestEnd } from './reasons.ts'

/** Which chats: those of a link, of a room, or between two accounts. */
export type WhichGuests = { invite: string } | { room: number } | { between: readonly [string, string] }

/** Ends these chats. */
export async function endGuests(ctx: HubContext, tx: Transaction, which: WhichGuests, reason: GuestEnd): Promise<void> {
  const [condition, parameters] =
    'invite' in which
      ? (['invite = $1', [which.invite]] as const)
      : 'room' in which
        ? (['room_no = $1', [which.room]] as const)
        : (['((account = $1 and host = $2) or (account = $2 and host = $1))', which.between] as const)
  const rows = await tx.query<GuestRow>(`select * from hub.guest where ended is null and ${condition}`, parameters)
  for (const guest of rows) await endGuest(ctx, tx, guest, reason)
}

/**
 * Invariant: with the reason, the guest's device is cut off and everything that was said is gone. The room's row and who
 * was in it stay for a while, so that both sides can be told.
 */
async function endGuest(ctx: HubContext, tx: Transaction, guest: GuestRow, reason: GuestEnd): Promise<void> {
  await lockRoomNo(tx, guest.room_no)
  const now = ctx.clock()
  const ended = await tx.query(
    'update hub.guest set ended = $2, ended_at = $3 where account = $1 and ended is null returning 1',
    [guest.account, reason, now],
  )
  if (ended.length === 0) return
  await tx.query('update hub.device set unlinked_at = $2 where device_id = $1', [guest.device_id, now])
  await ctx.audit.append(tx, { type: 'guest.ended', account: guest.account, reason })
  await ctx.audit.append(tx, { type: 'device.unlinked', account: guest.account, device: guest.device_id })
  await tx.query("update hub.member set standing = 'left' where room_no = $1", [guest.room_no])
  for (const table of ['log', 'submission', 'room_group', 'removal', 'mailbox', 'welcome', 'welcome_body'])
    await tx.query(`delete from hub.${table} where room_no = $1`, [guest.room_no])
  const hosts = await tx.query<{ device_id: string }>(
    'select device_id from hub.device where account = $1 and unlinked_at is null',
    [guest.host],
  )
  tx.afterCommit(() => {
    wake(ctx.bus, guest.device_id, { kind: 'unlinked' })
    for (const { device_id } of hosts) wake(ctx.bus, device_id, { kind: 'standing', room: guest.room_no })
  })
}

/** Rows looked at in one go. */
const atOnce = 100

/** Ends the chats in which nothing was said for too long, and warns of it before. Gives when to look next, if there is a chat. */
async function endDue(ctx: HubContext, onLooked: () => Promise<void>): Promise<number | undefined> {
  for (;;) {
    const due = await ctx.database.query<GuestRow>(
      'select * from hub.guest where ended is null and look_at <= $1 order by look_at limit $2',
      [ctx.clock(), atOnce],
    )
    for (const guest of due) {
      await ctx.database.transaction(async (tx) => {
        const room = await lockRoomNo(tx, guest.room_no)
        const [row] = await tx.query<GuestRow>(
          'select * from hub.guest where account = $1 and ended is null for update',
          [guest.account],
        )
        if (!row) return
        const ending = { endsAt: endOf(row, room?.last_at ?? 0), idleMs: guest.idle_ms }
        const now = ctx.clock()
        if (ending.endsAt <= now) return endGuest(ctx, tx, guest, 'idle')
        // Or something was said meanwhile: writing moves the end without writing it down.
        if (isDueToWarn(ctx, now, ending)) await tellEnding(ctx, tx, guest)
        const lookAt = nextLook(ctx, now, ending)
        await tx.query('update hub.guest set look_at = $2 where account = $1', [guest.account, lookAt])
      })
      await onLooked()
    }
    if (due.length === atOnce) continue
    const [next] = await ctx.database.query<{ at: number | null }>(
      'select min(look_at) as at from hub.guest where ended is null',
    )
    return next?.at ?? undefined
  }
}

/**
 * Ends chats when they are due: by a timer while the service runs, and whatever became due before it started. `onLooked`
 * is called after each chat that was due.
 */
export function openEndings(ctx: HubContext, onLooked: () => Promise<void> = async () => {}) {
  let timer: NodeJS.Timeout | undefined
  let at = Number.POSITIVE_INFINITY
  let closed = false
  let running: Promise<void> = Promise.resolve()
  const run = async () => {
    at = Number.POSITIVE_INFINITY
    // Another process may have let somebody in: looked at now and then in any case.
    const next = await endDue(ctx, onLooked)
    plan(Math.min(next ?? Number.POSITIVE_INFINITY, ctx.clock() + ctx.settings.cleanEveryMs))
  }
  const look = () => {
    running = running.then(run).catch((error: unknown) => {
      ctx.fault(error, 'guests')
      plan(ctx.clock() + ctx.settings.cleanEveryMs)
    })
    return running
  }
  const plan = (when: number) => {
    if (closed || when >= at) return
    at = when
    clearTimeout(timer)
    timer = setTimeout(() => void look(), Math.max(0, when - ctx.clock()))
    timer.unref()
  }
  plan(ctx.clock())
  return {
    /** There is a chat that ends at this time. */
    plan,
    look,
    async close(): Promise<void> {
      closed = true
      clearTimeout(timer)
      await running
    },
  }
}
