import { type AccountAddress, judgeCommit, type RoomRefusal, type Roster, type RosterLeaf } from '../identity/index.ts'
import { MlsError } from './errors.ts'
import { readRoom, sameButRoom } from './room-extensions.ts'
import type { CommitView, Extension } from './types.ts'

/** What the rule of a room needs to know of a commit besides the commit itself. */
export interface RoomStep {
  extensions: { before: readonly Extension[]; after: readonly Extension[] }
  /** The account that commits. */
  sender: AccountAddress
  leaves: { before: readonly RosterLeaf[]; after: readonly RosterLeaf[] }
  /** Who the leaves in the commit's `removed` are. */
  leafOf(leaf: CommitView['removed'][number]): RosterLeaf
  /** The manifests in force after it. */
  roster: Roster
}

/** Judges a commit by the rule of its room (`judgeCommit`), for hub and members alike; undefined when it may pass. */
export function judgeRoomCommit(
  view: Pick<CommitView, 'external' | 'proposals' | 'sender' | 'removed'>,
  { extensions, sender, leaves, leafOf, roster }: RoomStep,
): RoomRefusal | undefined {
  const before = readRoom(extensions.before)
  const after = orRefused(() => readRoom(extensions.after))
  if (before === undefined || after === undefined) return 'extensions'
  const committer = view.sender.type === 'member' ? view.sender.index : undefined
  const proposed = new Set<number>()
  const proposals = view.proposals.map((proposal) => {
    const outside = !view.external && proposal.by === undefined
    if (outside && proposal.type === 'remove') proposed.add(proposal.index)
    return {
      type: proposal.type,
      by: outside ? 'outside' : proposal.by === committer ? 'committer' : 'another',
    } as const
  })
  return judgeCommit({
    before,
    after,
    otherwiseChanged: !sameButRoom(extensions.before, extensions.after),
    sender,
    external: view.external,
    proposals,
    leavesBefore: leaves.before,
    leavesAfter: leaves.after,
    removed: view.removed.map((leaf) => ({ leaf: leafOf(leaf), proposed: proposed.has(leaf.index) })),
    roster,
  })
}

/** What somebody wrote into the group and nobody can read is no state of a room. */
function orRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof MlsError) return undefined
    throw error
  }
}
