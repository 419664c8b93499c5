import { equalBytes } from '../../crypto/index.ts'
import {
  applyManifests,
  decodeRoster,
  encodeRoster,
  type Posture,
  posture,
  type RosterOutcome,
  statedManifests,
} from '../../identity/index.ts'
import { type Extension, type LeafView, manifestsExtension } from '../../mls/index.ts'
import type { Admission } from '../account/trust.ts'
import type { Context } from '../context.ts'
import type { MemberLeaf, RosterRecord } from '../state/records.ts'

/** A step of a room from one epoch to the next, as the rule about manifests sees it. */
export interface RosterStep {
  after: readonly LeafView[]
  added: readonly LeafView[]
  external: boolean
  manifests: readonly Uint8Array[]
  /** Seconds since the epoch. */
  at: number
}

/** The roster after a commit. Throws IdentityError when the rule refuses the commit. */
export function rosterAfter(
  context: Pick<Context, 'crypto'>,
  before: RosterRecord,
  step: RosterStep,
  admitted: Pick<Admission, 'leafOf'>,
): { roster: RosterRecord; outcome: RosterOutcome } {
  const member = (leaf: LeafView): MemberLeaf => ({ ...admitted.leafOf(leaf), index: leaf.index })
  const after = step.after.map(member)
  const added = step.added.map(member)
  const outcome = applyManifests(context.crypto, decodeRoster(before.manifests), {
    before: before.leaves,
    after,
    added,
    external: step.external,
    manifests: step.manifests,
    at: step.at,
  })
  return { roster: { leaves: after, manifests: encodeRoster(outcome.roster) }, outcome }
}

/** What a GroupInfo states of this roster, for those who join by it. */
export function statedIn(roster: RosterRecord): Extension[] {
  return [manifestsExtension(statedManifests(decodeRoster(roster.manifests)))]
}

export function postureOf(roster: RosterRecord, settings: { plaintextNetworks: readonly string[] }): Posture {
  return posture(roster.leaves, settings.plaintextNetworks)
}

export function samePosture(a: Posture, b: Posture): boolean {
  const text = ({ level, readers, accounts }: Posture) =>
    [level, accounts, ...readers.flatMap(({ operator, network }) => [operator, network])].join('|')
  return text(a) === text(b)
}

/** The own leaf's place, if there is one. */
export function ownLeaf(roster: RosterRecord, deviceKey: Uint8Array): MemberLeaf | undefined {
  return roster.leaves.find((leaf) => equalBytes(leaf.deviceKey, deviceKey))
}
