import { deviceIn } from '../../identity/index.ts'
import type { ProposalView } from '../../mls/public.ts'
import type { Asker } from '../context.ts'
import type { HubErrorCode } from '../errors.ts'
import type { Evaluation, RoomFacts } from './facts.ts'

/**
 * What a room's kind allows a commit to do. Pure; who may reach whom is looked at elsewhere (contact.ts), since it
 * changes outside of rooms.
 *
 * - `self`: leaves of its owner only. `direct`: leaves of its two accounts only. `group`: members add others.
 * - A leaf goes when its device is no longer listed, when its account leaves, when its own device joins anew; in a group
 *   its owner may also remove other accounts. Nobody else removes anybody.
 * - Only a group's owner changes its extensions; nobody replaces a group by another (ReInit).
 */
export function checkRoomPolicy(
  asker: Asker,
  room: RoomFacts,
  commit: Pick<Evaluation, 'after' | 'added' | 'removed' | 'roster' | 'external'>,
  proposals: readonly ProposalView[],
  mostLeaves: number,
): HubErrorCode | undefined {
  if (commit.after.length > mostLeaves) return 'too-large'
  const accounts = new Set(commit.after.map(({ address }) => address as string))
  if (room.kind === 'self' && [...accounts].some((account) => account !== room.owner)) return 'not-allowed'
  if (room.kind === 'direct' || room.kind === 'guest') {
    if (room.accounts ? [...accounts].some((account) => !room.accounts!.includes(account)) : accounts.size !== 2)
      return 'not-allowed'
  }
  const owns = room.kind === 'group' && asker.account === room.owner
  for (const proposal of proposals) {
    if (proposal.type === 'reinit') return 'not-allowed'
    if (proposal.type === 'extensions' && !owns) return 'not-allowed'
  }
  for (const leaf of commit.removed) {
    const rejoins = commit.external && commit.added.some(({ deviceId }) => deviceId === leaf.deviceId)
    const manifest = commit.roster.get(leaf.address)?.inForce?.manifest
    const unlisted = manifest !== undefined && !deviceIn(manifest, leaf.deviceKey)
    const waiting = room.removals.includes(leaf.deviceId)
    if (!(rejoins || unlisted || waiting || (owns && leaf.address !== asker.account))) return 'not-allowed'
  }
  return undefined
}
