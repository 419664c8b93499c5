import type { Profile } from '../../content/index.ts'
import { confusables, type Lookalikes, looksLike, looksLikeProvider, type RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { type InviteRecord, invites, ownProfile } from '../state/records.ts'
import type { StorageTx } from '../types.ts'

/** A guest chooses the name itself, and no one vouches for it. Errors: misleading-name (that of the host or the provider). */
export function requireHonestName(
  name: string | undefined,
  provider: string,
  hosts: readonly (string | undefined)[],
  more?: Lookalikes,
) {
  if (name === undefined) return
  const misleads = looksLikeProvider(name, provider, more) || hosts.some((host) => host && looksLike(name, host, more))
  if (misleads) throw new ClientError('misleading-name')
}

/**
 * Whether a guest who comes by this link gives a name that could be taken for the host's own, or the provider's. It is the
 * host who must not be misled, so the host's device has the whole table; a guest's has what keeps the page small.
 */
export async function misleads(
  context: Context,
  tx: StorageTx,
  invite: InviteRecord | undefined,
  name: string | undefined,
): Promise<boolean> {
  const own = (await ownProfile.get(tx))?.name
  try {
    requireHonestName(name, context.self.provider, [own, invite?.name], confusables)
    return false
  } catch {
    return true
  }
}

/** A guest's profile as it is kept: without a name that misleads, and with nothing that only an edge says of somebody. */
export async function guestProfile(context: Context, tx: StorageTx, room: RoomId, { name }: Profile): Promise<Profile> {
  const invite = (await invites.list(tx)).find(({ value }) => value.room === room)?.value
  return name === undefined || (await misleads(context, tx, invite, name)) ? {} : { name }
}
