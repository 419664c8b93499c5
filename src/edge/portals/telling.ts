import type { AccountAddress } from '../../identity/index.ts'
import { HomeserverError } from '../matrix/homeserver.ts'
import { ghostIn } from './circle.ts'
import { asGhost, owned, type PortalContext } from './context.ts'
import type { OpenPortal } from './portal-table.ts'
import { capabilitiesType } from './state-types.ts'

/** Tells Matrix what the messenger's people have read. Called with a portal's other work, so it is tried again. */
export async function tellRead(context: PortalContext, portal: OpenPortal): Promise<void> {
  const { database, messages, homeserver } = context
  if (portal.state !== 'open') return
  const waiting = await database.query<{ account: AccountAddress; message_id: Uint8Array }>(
    'select account, message_id from portal_read where portal = $1 order by account limit $2',
    [portal.id, readersAtOnce],
  )
  for (const { account, message_id: messageId } of waiting) {
    const eventId = await messages.eventOf(database, portal.id, messageId)
    const ghost = ghostIn(context, portal, account)
    if (eventId !== undefined && ghost !== undefined) {
      const as = await asGhost(context, ghost)
      await unlessRefused(homeserver.sendReceipt(as, portal.matrixRoom, eventId))
    }
    await owned(context, portal.account, (tx) =>
      tx.query('delete from portal_read where portal = $1 and account = $2 and message_id = $3', [
        portal.id,
        account,
        messageId,
      ]),
    )
  }
}

const readersAtOnce = 100

/**
 * States in the room what crosses, once and whenever that has changed. A ghost that may not is not stopped by it.
 * @param shown what was stated last, as `portal_told` has it
 */
export async function showCapabilities(
  context: PortalContext,
  portal: OpenPortal,
  shown: string | undefined,
): Promise<void> {
  if (portal.state !== 'open' || portal.room === undefined) return
  const { users, crypto } = context
  const { device } = await users.byAccount(portal.account)
  const capabilities = await device.capabilities(portal.room)
  const text = JSON.stringify(capabilities)
  const what = `capabilities-${Buffer.from(crypto.sha256(new TextEncoder().encode(text)))
    .toString('hex')
    .slice(0, 16)}`
  if (what === shown) return
  const as = await asGhost(context, portal.ghost)
  const content = { ...capabilities }
  await unlessRefused(
    context.homeserver.putState(as, portal.matrixRoom, capabilitiesType, '', content).then(() => undefined),
  )
  await owned(context, portal.account, async (tx) => {
    await tx.query("delete from portal_told where portal = $1 and what like 'capabilities-%'", [portal.id])
    await tx.query('insert into portal_told (portal, what) values ($1, $2) on conflict do nothing', [portal.id, what])
  })
}

/** What the homeserver will not take is over; what it could not take now is tried again. */
async function unlessRefused(done: Promise<void>): Promise<void> {
  try {
    await done
  } catch (error) {
    if (!(error instanceof HomeserverError) || error.retry || error.status === 401) throw error
  }
}
