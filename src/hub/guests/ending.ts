import type { AccountAddress, DeviceId } from '../../identity/index.ts'
import type { Queryable, Transaction } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { wake } from '../wake-ups.ts'

export interface GuestRow {
  account: AccountAddress
  device_id: DeviceId
  room_no: number
  host: string
  idle_ms: number
  kept_at: number
}

/** When a chat ends unless something is said. */
export interface ChatEnding {
  room: string
  endsAt: number
  idleMs: number
}

/** The chat ends so long after the newest entry of its room, or after somebody asked for it to be kept open. */
export function endOf({ kept_at, idle_ms }: Pick<GuestRow, 'kept_at' | 'idle_ms'>, lastAt: number): number {
  return Math.max(lastAt, kept_at) + idle_ms
}

/** How long before its end a chat is spoken of, those that make sense for its length. */
function warnings({ settings }: HubContext, idleMs: number): number[] {
  return settings.guestWarningsMs.filter((before) => before < idleMs)
}

/** When to look at a chat again: at the next warning that is due, else at its end. */
export function nextLook(ctx: HubContext, now: number, { endsAt, idleMs }: Omit<ChatEnding, 'room'>): number {
  const times = warnings(ctx, idleMs).map((before) => endsAt - before)
  return Math.min(endsAt, ...times.filter((at) => at > now))
}

/** Whether both sides are to know now. */
export function isDueToWarn(ctx: HubContext, now: number, { endsAt, idleMs }: Omit<ChatEnding, 'room'>): boolean {
  return warnings(ctx, idleMs).some((before) => endsAt - before <= now)
}

/** Tells the devices of both sides, after the commit, that there is something to say about a chat's end. */
export async function tellEnding(ctx: HubContext, tx: Transaction, guest: GuestRow): Promise<void> {
  const hosts = await tx.query<{ device_id: string }>(
    'select device_id from hub.device where account = $1 and unlinked_at is null',
    [guest.host],
  )
  tx.afterCommit(() => {
    for (const device of [guest.device_id, ...hosts.map((each) => each.device_id)])
      wake(ctx.bus, device, { kind: 'ending', room: guest.room_no })
  })
}

/**
 * What a device is told of the ends of chats: of one room, or at its log-in of a guest's own chat and of a host's chats that
 * end soon.
 */
export async function readEndings(ctx: HubContext, asker: Asker, roomNo?: number): Promise<ChatEnding[]> {
  const isGuest = asker.accountKind === 'guest'
  const now = ctx.clock()
  const soon = Math.max(0, ...ctx.settings.guestWarningsMs)
  const rows = await ctx.database.query<GuestRow & { id: string; ends_at: number }>(
    `select * from (
       select g.*, r.id, greatest(r.last_at, g.kept_at) + g.idle_ms as ends_at
         from hub.guest g join hub.room r on r.no = g.room_no
        where g.ended is null and g.${isGuest ? 'account' : 'host'} = $1
          and ($2::int8 is null or g.room_no = $2)
     ) each where $2::int8 is not null or $3 or ends_at <= $4 order by ends_at limit $5`,
    [asker.account, roomNo ?? null, isGuest, now + soon, ctx.settings.guestWarnings],
  )
  const endings = rows.map(({ id, ends_at, idle_ms }) => ({ room: id, endsAt: ends_at, idleMs: idle_ms }))
  return endings.filter((each) => roomNo !== undefined || isGuest || isDueToWarn(ctx, now, each))
}

/** Keeps a chat open, as if something had been said now. Errors: not-found (no chat of the asker's that goes on). */
export async function extendChat(
  ctx: HubContext,
  asker: Asker,
  room: string,
): Promise<{ ending: ChatEnding; lookAt: number }> {
  return ctx.database.transaction(async (tx) => {
    const guest = await lockChat(tx, asker, room)
    const now = ctx.clock()
    const ending = { room, endsAt: endOf({ ...guest, kept_at: now }, 0), idleMs: guest.idle_ms }
    const lookAt = nextLook(ctx, now, ending)
    await tx.query('update hub.guest set kept_at = $2, look_at = $3 where account = $1', [guest.account, now, lookAt])
    await tellEnding(ctx, tx, guest)
    return { ending, lookAt }
  })
}

async function lockChat(tx: Queryable, asker: Asker, room: string): Promise<GuestRow> {
  const [guest] = await tx.query<GuestRow>(
    `select g.* from hub.guest g join hub.room r on r.no = g.room_no
      where r.id = $1 and g.ended is null and (g.account = $2 or g.host = $2) for update of g`,
    [room, asker.account],
  )
  if (!guest) throw new HubError('not-found')
  return guest
}
