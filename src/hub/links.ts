import { toBase64Url } from '../crypto/index.ts'
import type { HubContext } from './context.ts'
import { HubError } from './errors.ts'

/**
 * A new device waits at a rendezvous for what the primary hands it. Opening it again, as after a lost connection, is the
 * same; the payload can be fetched until the time is over, by whoever knows the rendezvous, and is sealed under the
 * secret it was derived from.
 *
 * Errors: malformed, unavailable (too many are open).
 *
 * @param onReady called once, as soon as the payload is there
 * @returns a function that stops waiting, and the milliseconds until the rendezvous ends
 */
export async function openLink(
  ctx: HubContext,
  rendezvous: Uint8Array,
  onReady: (payload: Uint8Array) => void,
): Promise<{ stop: () => void; forMs: number }> {
  checkRendezvous(rendezvous)
  const holder = ctx.crypto.randomBytes(16)
  const until = await ctx.database.transaction(async (tx) => {
    // Whoever comes back has the time that was left when they were here first.
    const [open] = await tx.query<{ ends_at: number }>(
      `update hub.link set holder = $3, expires_at = coalesce(ends_at, expires_at)
        where rendezvous = $1 and expires_at > $2 returning expires_at as ends_at`,
      [rendezvous, ctx.clock(), holder],
    )
    if (open) return open.ends_at
    const [all] = await tx.query<{ count: number }>(
      'select count(*)::int4 as count from (select from hub.link where expires_at > $2 limit $1) as open',
      [ctx.settings.links, ctx.clock()],
    )
    if ((all?.count ?? 0) >= ctx.settings.links) throw new HubError('unavailable')
    const expires = ctx.clock() + ctx.settings.linkMs
    await tx.query(
      `insert into hub.link (rendezvous, expires_at, ends_at, holder) values ($1, $2, $2, $3)
        on conflict (rendezvous) do update
          set payload = null, expires_at = excluded.expires_at, ends_at = excluded.ends_at, holder = excluded.holder`,
      [rendezvous, expires, holder],
    )
    return expires
  })
  let waiting = true
  const stop = () => {
    if (waiting) ctx.later(() => leave(ctx, rendezvous, holder))
    waiting = false
    end()
  }
  const look = async () => {
    const [row] = await ctx.database.query<{ payload: Uint8Array | null }>(
      'select payload from hub.link where rendezvous = $1 and expires_at > $2',
      [rendezvous, ctx.clock()],
    )
    if (!row?.payload || !waiting) return
    waiting = false
    end()
    onReady(row.payload)
  }
  const end = ctx.bus.subscribe(topicOf(rendezvous), () => {
    look().catch((error: unknown) => ctx.fault(error, 'link'))
  })
  await look()
  return { stop, forMs: until - ctx.clock() }
}

/**
 * Nobody waits there any more: the place is soon free, unless the same one is back by then. Otherwise whoever connects again
 * and again would take all of them for ten minutes.
 */
async function leave(ctx: HubContext, rendezvous: Uint8Array, holder: Uint8Array): Promise<void> {
  await ctx.database.query(
    `update hub.link set expires_at = least(expires_at, $3) where rendezvous = $1 and holder = $2 and payload is null`,
    [rendezvous, holder, ctx.clock() + ctx.settings.linkLeftMs],
  )
}

/** Hands the payload to whoever waits at the rendezvous, once. Errors: malformed, too-large, not-found. */
export async function completeLink(ctx: HubContext, rendezvous: Uint8Array, payload: Uint8Array): Promise<void> {
  checkRendezvous(rendezvous)
  if (payload.length === 0) throw new HubError('malformed')
  if (payload.length > ctx.settings.linkBytes) throw new HubError('too-large')
  const taken = await ctx.database.query(
    `update hub.link set payload = $2 where rendezvous = $1 and payload is null and expires_at > $3
      returning expires_at`,
    [rendezvous, payload, ctx.clock()],
  )
  if (taken.length === 0) throw new HubError('not-found')
  ctx.bus.publish(topicOf(rendezvous))
}

function checkRendezvous(rendezvous: Uint8Array): void {
  if (rendezvous.length < 16 || rendezvous.length > 32) throw new HubError('malformed')
}

function topicOf(rendezvous: Uint8Array): string {
  return `link/${toBase64Url(rendezvous)}`
}
