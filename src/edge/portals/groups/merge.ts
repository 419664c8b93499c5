import type { Role } from '../../../identity/index.ts'

/** A group as the messenger's log states it; members by their Matrix id, of the user or of the ghost. */
export interface MessengerSide {
  readonly name: string
  readonly members: ReadonlyMap<string, Role>
}

/** A group as its Matrix room shows it. */
export interface MatrixSide {
  readonly name: string
  readonly members: ReadonlyMap<string, MatrixMember>
}
export interface MatrixMember {
  readonly membership: 'join' | 'invite'
  /** Undefined: the bridge cannot change it, so it is not compared. */
  readonly role: Role | undefined
}

/** What both sides were when they last agreed, member by member. */
export interface Base {
  readonly name: string
  readonly members: Readonly<Record<string, Role>>
}

/** One thing in which the sides differ, and which side has to follow. */
export type Difference = { readonly to: 'messenger' | 'matrix' } & (
  | { readonly what: 'name'; readonly name: string }
  | { readonly what: 'come' | 'go'; readonly who: string }
  | { readonly what: 'role'; readonly who: string; readonly role: Role }
)

/**
 * Compares the two sides of a group with what they last agreed on: who differs from that has changed, and the other one
 * follows. Where both have changed the messenger's log wins, since all its members have it in one order. Nothing has to be
 * remembered of single changes, so none can be lost, doubled or run in a circle, and after a crash it is compared anew.
 *
 * A Matrix user who is invited only is nobody's member yet, unless the messenger has invited them. A ghost that is invited
 * joins when the messenger has it.
 */
export function compare(
  messenger: MessengerSide,
  matrix: MatrixSide,
  base: Base,
  isGhost: (who: string) => boolean,
): { agreed: Base; differences: Difference[] } {
  const differences: Difference[] = []
  const agreed: Record<string, Role> = {}
  let name = base.name
  if (messenger.name === matrix.name) name = messenger.name
  else if (messenger.name === base.name) differences.push({ what: 'name', to: 'messenger', name: matrix.name })
  else differences.push({ what: 'name', to: 'matrix', name: messenger.name })

  for (const who of new Set([...messenger.members.keys(), ...matrix.members.keys(), ...Object.keys(base.members)])) {
    const role = messenger.members.get(who)
    const there = matrix.members.get(who)
    const before = base.members[who]
    if (role !== undefined && there !== undefined) {
      if (isGhost(who) && there.membership === 'invite') differences.push({ what: 'come', to: 'matrix', who })
      // New on both sides: what the room said of them before they came does not count.
      const was = before ?? there.role ?? role
      agreed[who] = was
      if (there.role === undefined || there.role === role) agreed[who] = role
      else if (role === was) differences.push({ what: 'role', to: 'messenger', who, role: there.role })
      else differences.push({ what: 'role', to: 'matrix', who, role })
    } else if (role !== undefined) {
      if (before !== undefined) agreed[who] = before
      differences.push(
        before === undefined ? { what: 'come', to: 'matrix', who } : { what: 'go', to: 'messenger', who },
      )
    } else if (there !== undefined) {
      if (before !== undefined) agreed[who] = before
      if (before !== undefined) differences.push({ what: 'go', to: 'matrix', who })
      else if (there.membership === 'join' || isGhost(who)) differences.push({ what: 'come', to: 'messenger', who })
    }
  }
  return { agreed: { name, members: agreed }, differences }
}

/** The messenger does not follow in this: from now on Matrix is what has to change back. */
export function giveUp(base: Base, difference: Difference, matrix: MatrixSide): Base {
  if (difference.what === 'name') return { ...base, name: matrix.name }
  const { [difference.who]: _, ...others } = base.members
  const there = matrix.members.get(difference.who)
  if (there === undefined) return { ...base, members: others }
  return { ...base, members: { ...others, [difference.who]: there.role ?? base.members[difference.who] ?? 'member' } }
}
