import type { AccountAddress, Leaf, Roster } from '../../identity/index.ts'
import type { PublicGroup } from '../../mls/public.ts'
import type { RoomKind } from './rows.ts'

/** A verified leaf and its place in the tree. */
export type PlacedLeaf = Leaf & { index: number }

/** A room's group as the hub follows it. */
export interface FollowedGroup {
  group: PublicGroup
  roster: Roster
}

export interface RoomFacts {
  kind: RoomKind
  owner: string
  /** Of a direct room: who it is for; undefined while it is being created. */
  accounts: readonly string[] | undefined
  /** Devices whose leaves wait to be removed. */
  removals: readonly string[]
}

/** What a commit would make of the group. Nothing is stored yet. */
export interface Evaluation extends FollowedGroup {
  before: PlacedLeaf[]
  after: PlacedLeaf[]
  added: PlacedLeaf[]
  removed: PlacedLeaf[]
  external: boolean
  /** Accounts whose manifest changes. */
  announced: AccountAddress[]
  /** Accounts with a leaf before and none now. */
  gone: AccountAddress[]
}
