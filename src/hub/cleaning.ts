import type { Transaction } from '../store/index.ts'
import type { HubContext } from './context.ts'
import { proposeForgotten } from './rooms/removals.ts'

/** Rooms remembered for the next cleaning. Those beyond it are found by the age of their entries. */
const mostRooms = 10_000
/** Rooms in which forgotten removals are proposed in one go. */
const mostProposals = 100

/** Deletes what nobody will read any more, a little at a time. */
export function openCleaning(ctx: HubContext) {
  const acknowledged = new Set<number>()
  let running: Promise<void> | undefined
  const clean = () => {
    running ??= run(ctx, acknowledged).finally(() => {
      running = undefined
    })
    return running
  }
  const timer = setInterval(() => {
    clean().catch((error: unknown) => ctx.fault(error, 'cleaning'))
  }, ctx.settings.cleanEveryMs)
  timer.unref()
  return {
    /** Devices have acknowledged entries of these rooms. */
    note(rooms: readonly number[]): void {
      for (const room of rooms) if (acknowledged.size < mostRooms) acknowledged.add(room)
    },
    clean,
    async close(): Promise<void> {
      clearInterval(timer)
      await running?.catch(() => undefined)
    },
  }
}

async function run(ctx: HubContext, acknowledged: Set<number>): Promise<void> {
  const { retentionMs, idempotencyMs } = ctx.settings
  const now = ctx.clock()
  for (const room of [...acknowledged]) {
    acknowledged.delete(room)
    await deleteAcknowledged(ctx, room)
  }
  await deleteInBatches(ctx, 'log', 'at < $1', now - retentionMs, 'messages')
  await deleteInBatches(ctx, 'submission', 'at < $1', now - idempotencyMs)
  await deleteWelcomes(ctx, now - retentionMs)
  await deleteInBatches(ctx, 'link', 'expires_at < $1', now)
  await deleteInBatches(ctx, 'approach', 'hour < $1', Math.floor(now / 3_600_000) - 24)
  await deleteInBatches(ctx, 'guest_entry', 'at < $1', now - ctx.settings.guestEntryMs)
  await deleteInBatches(
    ctx,
    'invite',
    'coalesce(revoked_at, expires_at) < $1',
    now - ctx.settings.guestEndedMs,
    'guest-links',
  )
  await deleteInBatches(ctx, 'device', 'unlinked_at < $1', now - ctx.settings.unlinkedMs)
  await deleteEnded(ctx, now - ctx.settings.guestEndedMs)
  await proposeForgotten(ctx, mostProposals)
}

async function deleteInBatches(
  ctx: HubContext,
  table: string,
  condition: string,
  bound: number,
  what?: Expired,
): Promise<void> {
  const {
    database,
    metrics,
    settings: { cleanRows },
  } = ctx
  for (;;) {
    const deleted = await database.transaction(async (tx) => {
      const rows = await tx.query(
        `delete from hub.${table} where ctid = any(array(select ctid from hub.${table} where ${condition} limit $2))
          returning 1`,
        [bound, cleanRows],
      )
      await tell(ctx, tx, what, rows.length)
      return rows
    })
    if (deleted.length > 0) metrics.count('cleaned', { table })
    if (deleted.length < cleanRows) return
  }
}

/** What is told of in the compliance log. The rest is bookkeeping that was never anybody's to read. */
type Expired = 'messages' | 'welcomes' | 'guest-links' | 'guest-chats'

async function tell({ audit }: HubContext, tx: Transaction, what: Expired | undefined, count: number): Promise<void> {
  if (what !== undefined && count > 0) await audit.append(tx, { type: 'expiry.carried-out', what, count })
}

/** Chats of guests that ended long ago: nobody comes for the reason any more. */
async function deleteEnded(ctx: HubContext, before: number): Promise<void> {
  const {
    database,
    settings: { cleanRows },
  } = ctx
  for (;;) {
    const gone = await database.transaction(async (tx) => {
      const rows = await tx.query<{ account: string; room_no: number }>(
        `delete from hub.guest where ctid = any(array(
           select ctid from hub.guest where ended is not null and ended_at < $1 limit $2)) returning account, room_no`,
        [before, cleanRows],
      )
      const accounts = rows.map(({ account }) => account)
      const rooms = rows.map((row) => row.room_no)
      for (const table of ['device', 'manifest', 'member'])
        await tx.query(`delete from hub.${table} where account = any($1::text[])`, [accounts])
      for (const table of ['member', 'lost'])
        await tx.query(`delete from hub.${table} where room_no = any($1::int8[])`, [rooms])
      await tx.query('delete from hub.room where no = any($1::int8[])', [rooms])
      await tx.query('delete from hub.block where owner = any($1::text[]) or blocked = any($1::text[])', [accounts])
      await tx.query('delete from hub.account where address = any($1::text[])', [accounts])
      await tell(ctx, tx, 'guest-chats', rows.length)
      return rows.length
    })
    if (gone < cleanRows) return
  }
}

/** Welcomes that nobody came for: most are deleted when they are acknowledged. */
async function deleteWelcomes(ctx: HubContext, before: number): Promise<void> {
  const {
    database,
    settings: { cleanRows },
  } = ctx
  for (;;) {
    const deleted = await database.transaction(async (tx) => {
      const [row] = await tx.query<{ bodies: number }>(
        `with gone as (
           delete from hub.welcome_body where ctid = any(array(select ctid from hub.welcome_body where at < $1 limit $2))
             returning room_no, seq
         ), unread as (
           delete from hub.welcome w using gone where w.room_no = gone.room_no and w.seq = gone.seq
         )
         select count(*)::int4 as bodies from gone`,
        [before, cleanRows],
      )
      await tell(ctx, tx, 'welcomes', row?.bodies ?? 0)
      return row?.bodies ?? 0
    })
    if (deleted < cleanRows) return
  }
}

/** What every device of a room has, nobody reads again: a new device begins after it. */
async function deleteAcknowledged(ctx: HubContext, roomNo: number): Promise<void> {
  for (;;) {
    const deleted = await ctx.database.query(
      `delete from hub.log where room_no = $1 and seq = any(array(
         select seq from hub.log where room_no = $1
            and seq <= (select coalesce(min(acked), 0) from hub.mailbox where room_no = $1)
          order by seq limit $2)) returning 1`,
      [roomNo, ctx.settings.cleanRows],
    )
    if (deleted.length < ctx.settings.cleanRows) return
  }
}
