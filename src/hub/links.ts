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
  const until = await ctx.database.transaction(async (tx) => {
    const [open] = await tx.query<{ expires_at: number }>(
      'select expires_at from hub.link where rendezvous = $1 and expires_at > $2',
      [rendezvous, ctx.clock()],
    )
    if (open) return open.expires_at
    const [all] = await tx.query<{ count: number }>(
      'select count(*)::int4 as count from (select from hub.link limit $1) as open',
      [ctx.settings.links],
    )
    if ((all?.count ?? 0) >= ctx.settings.links) throw new HubError('unavailable')
    const expires = ctx.clock() + ctx.settings.linkMs
    await tx.query(
      `insert into hub.link (rendezvous, expires_at) values ($1, $2)
        on conflict (rendezvous) do update set payload = null, expires_at = excluded.expires_at`,
      [rendezvous, expires],
    )
    return expires
  })
  let waiting = true
  const stop = () => {
    waiting = false
    end()
  }
  const look = async () => {
    const [row] = await ctx.database.query<{ payload: Uint8Array | null }>(
      'select payload from hub.link where rendezvous = $1 and expires_at > $2',
      [rendezvous, ctx.clock()],
    )
    if (!row?.payload || !waiting) return
    stop()
    onReady(row.payload)
  }
  const end = ctx.bus.subscribe(topicOf(rendezvous), () => {
    look().catch(() => ctx.metrics.count('faults', { in: 'link' }))
  })
  await look()
  return { stop, forMs: until - ctx.clock() }
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
