import { ContentError, type MimiContent, type Profile, profileMessage, readProfile } from '../../content/index.ts'
import type { AccountAddress, RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { guestProfile } from '../guests/names.ts'
import { addSubmission } from '../rooms/submissions.ts'
import { accounts, ownProfile, type RoomRecord, rooms } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'

/** Keeps what an account says of itself. Another device of this account may have said it. `guestOf`: the room of a guest. */
export async function noteProfile(
  context: Context,
  tx: StorageTx,
  address: AccountAddress,
  content: MimiContent,
  guestOf?: RoomId,
): Promise<void> {
  const profile = profileIn(content)
  if (!profile) return
  const kept = guestOf ? await guestProfile(context, tx, guestOf, profile) : profile
  if (kept.name !== profile.name)
    await context.events.run(
      'refused',
      { ...(guestOf && { room: guestOf }), account: address, error: new ClientError('misleading-name') },
      tx,
    )
  await storeProfile(context, tx, address, kept)
}

/** Of an account whose key is known. */
export async function storeProfile(
  context: Context,
  tx: StorageTx,
  address: AccountAddress,
  profile: Profile,
): Promise<void> {
  if (address === context.self.address) await ownProfile.put(tx, profile)
  const known = await accounts.get(tx, address)
  if (!known) return
  await accounts.put(tx, address, { ...known, profile })
  await context.events.run('profile', { account: address, profile }, tx)
}

function profileIn(content: MimiContent): Profile | undefined {
  try {
    return readProfile(content)
  } catch (error) {
    // The application is handed the message as it is; there is no profile to keep.
    if (error instanceof ContentError) return undefined
    throw error
  }
}

/** Whether the profile is owed and may be said: both sides have accepted the room, since no stranger sees it before. */
export function isProfileDue(
  { self }: Pick<Context, 'self'>,
  { profileOwed, standing, answered, kind }: RoomRecord,
): boolean {
  if (!profileOwed || standing !== 'accepted') return false
  // A guest was invited, and says at once who they are.
  return answered || kind === 'self' || self.kind === 'guest'
}

/** Puts the profile into the room's queue when it is due. */
export async function sendProfileIfOwed(context: Context, work: RoomWork): Promise<void> {
  const { record } = work
  if (!record || !isProfileDue(context, record)) return
  const profile = await ownProfile.get(work.tx)
  work.update({ profileOwed: false })
  // Who accepts writes one even without a name: that is how a stranger who was offline learns of it.
  // In a group nobody waits for that.
  if (profile || (record.inviter && record.kind !== 'group'))
    await addSubmission(context, work, profileMessage(profile ?? {}))
}

/** A new profile, owed to every room from now on. Gives the rooms. */
export async function changeProfile(context: Context, profile: Profile): Promise<RoomId[]> {
  // Refused here when it cannot be written.
  profileMessage(profile)
  return context.storage.transaction(async (tx) => {
    await ownProfile.put(tx, profile)
    return (await rooms.list(tx)).map(({ key }) => key)
  })
}
