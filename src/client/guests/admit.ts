import { equalBytes } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import type { CommitView, LeafView, Psk } from '../../mls/index.ts'
import type { Context } from '../context.ts'
import { IdentityRefusal } from '../errors.ts'
import { invites, type MemberLeaf, type RoomRecord } from '../state/records.ts'
import type { RoomKind, StorageTx } from '../types.ts'
import { pskOf } from './link.ts'

/** The pre-shared keys of all links of this account: a Welcome says itself which one it is made with. */
export async function invitePsks(context: Context, tx: StorageTx): Promise<Psk[]> {
  return (await invites.list(tx)).map(({ key, value }) => pskOf(context.crypto, key, value.secret))
}

/**
 * Who is in a room with a guest: one guest, one other account, nobody else; and no guest anywhere else. The provider
 * endorses guests, so it could make some up.
 */
export function requireGuestCircle(kind: RoomKind | undefined, leaves: readonly MemberLeaf[]): void {
  const guests = leaves.filter(({ accountKind }) => accountKind === 'guest')
  if (guests.length === (kind === 'guest' ? 1 : 0)) return
  throw new IdentityRefusal('not-invited', guests[0]?.address)
}

/**
 * The key of the link by which a guest came. A Welcome without one was made by somebody who has never had a link (the
 * provider, say); one of a link that is used, revoked or expired, by somebody to whom the provider brings it back.
 * `used`: ids of the pre-shared keys in the group. `at`: the log's time, milliseconds. Errors: not-invited.
 */
export async function requireInvite(
  context: Context,
  tx: StorageTx,
  room: RoomId,
  used: readonly Uint8Array[],
  at: number,
): Promise<Psk> {
  for (const { key, value } of await invites.list(tx)) {
    const psk = pskOf(context.crypto, key, value.secret)
    if (!used.some((id) => equalBytes(id, psk.id))) continue
    const closed = value.revoked || at > value.expiresAt || (value.singleUse && (value.room ?? room) !== room)
    if (closed) throw new IdentityRefusal('not-invited')
    if (!value.room) await invites.put(tx, key, { ...value, room })
    return psk
  }
  throw new IdentityRefusal('not-invited')
}

/** The key by which to enter from outside a room that began by this link. Errors: not-invited. */
export async function pskForEntry(
  context: Context,
  tx: StorageTx,
  record: RoomRecord | undefined,
  invite: string,
): Promise<Psk | undefined> {
  if (record?.kind !== 'guest') return undefined
  if (record.psk) return record.psk
  const known = await invites.get(tx, invite)
  if (!known) throw new IdentityRefusal('not-invited')
  return pskOf(context.crypto, invite, known.secret)
}

/**
 * A commit in a guest's room. Who joins from outside shows again that they have the link: an external commit begins a
 * new chain of secrets, to which nothing of the old one contributes. Nobody else comes in. Errors: not-invited.
 */
export function requireGuestCommit(
  context: Context,
  record: RoomRecord | undefined,
  commit: Pick<CommitView, 'external' | 'proposals' | 'added'>,
  leafOf: (leaf: LeafView) => { address: string },
): void {
  if (record?.kind !== 'guest') return
  const { psk, other } = record
  const shown = commit.proposals.some((each) => each.type === 'psk' && psk !== undefined && equalBytes(each.id, psk.id))
  const known = commit.added.every((leaf) => [context.self.address, other].includes(leafOf(leaf).address as never))
  if ((commit.external && !shown) || !known) throw new IdentityRefusal('not-invited', other)
}
