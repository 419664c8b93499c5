import { equalBytes } from '../../crypto/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import type { Queryable } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'

export interface InviteRow {
  id: string
  host: AccountAddress
  pin: Uint8Array | null
  pin_tries: number
  approval: boolean
  single_use: boolean
  expires_at: number
  idle_ms: number
  shown: Uint8Array
  uses: number
  revoked_at: number | null
}

/** 16 random bytes in base64url: nobody finds a link by trying. */
const inviteForm = /^[A-Za-z0-9_-]{21}[AQgw]$/

/** Errors: not-found (to strangers, one answer for all that is no open link). */
export function checkInviteId(id: string): void {
  if (!inviteForm.test(id)) throw new HubError('not-found')
}

/** Whether a link still lets somebody in. */
export function isOpen(ctx: HubContext, invite: InviteRow): boolean {
  return (
    invite.revoked_at === null &&
    invite.expires_at > ctx.clock() &&
    invite.pin_tries > 0 &&
    invite.uses < (invite.single_use ? 1 : ctx.settings.guestsPerInvite)
  )
}

/** The link, locked until the transaction ends, while it lets somebody in. Errors: not-found. */
export async function lockOpenInvite(ctx: HubContext, tx: Queryable, id: string): Promise<InviteRow> {
  checkInviteId(id)
  const [invite] = await tx.query<InviteRow>('select * from hub.invite where id = $1 for update', [id])
  if (!invite || !isOpen(ctx, invite)) throw new HubError('not-found')
  return invite
}

/** A link of the asker's own, locked. Errors: not-found. */
export async function lockOwnInvite(tx: Queryable, asker: Asker, id: string): Promise<InviteRow> {
  const [invite] = await tx.query<InviteRow>('select * from hub.invite where id = $1 and host = $2 for update', [
    id,
    asker.account,
  ])
  if (!invite) throw new HubError('not-found')
  return invite
}

/** Whether what was given is what the right PIN gives. 32 bytes of HKDF output: no prefix of it can be found out. */
export function isPin(invite: InviteRow, given: Uint8Array): boolean {
  return invite.pin === null || equalBytes(invite.pin, given)
}
