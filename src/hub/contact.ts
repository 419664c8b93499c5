import type { AccountKind } from '../identity/index.ts'
import type { HubErrorCode } from './errors.ts'

export type FirstContact = 'anyone' | 'consent' | 'nobody'
export type Standing = 'requested' | 'accepted' | 'declined' | 'left'

/** All that decides whether one account may reach another. `optedIn`: to the network that the *other* one is behind. */
export interface Contact {
  asker: { kind: AccountKind; optedIn: boolean }
  target: { kind: AccountKind; optedIn: boolean; firstContact: FirstContact }
  askerBlocksTarget: boolean
  targetBlocksAsker: boolean
  /** What the target has said about the asker. */
  consent: 'requested' | 'granted' | 'denied' | undefined
}

export type ContactDecision =
  | { allowed: true; standing: 'requested' | 'accepted' }
  | { allowed: false; code: Extract<HubErrorCode, 'not-reachable' | 'consent-required' | 'blocked' | 'not-opted-in'> }

/**
 * Whether `asker` may take up contact with `target`, and where the target would stand in the room. The asker's own choices
 * are told in clear; everything about the target but its wish to be asked is `not-reachable`, as for an account that does
 * not exist.
 */
export function decideContact(contact: Contact): ContactDecision {
  const { asker, target } = contact
  if (contact.askerBlocksTarget) return refuse('blocked')
  // A guest has the one chat that the link has opened.
  if (asker.kind === 'guest' || target.kind === 'guest') return refuse('not-reachable')
  // Two who are on foreign networks both: only where the other one has agreed to it, and only in a group (record.ts).
  if (asker.kind === 'edge' && target.kind === 'edge')
    return contact.consent === 'granted' && !contact.targetBlocksAsker
      ? { allowed: true, standing: 'accepted' }
      : refuse('not-reachable')
  if (target.kind === 'edge' && !asker.optedIn) return refuse('not-opted-in')
  if (asker.kind === 'edge' && !target.optedIn) return refuse('not-reachable')
  if (contact.targetBlocksAsker || contact.consent === 'denied') return refuse('not-reachable')
  if (contact.consent === 'granted') return { allowed: true, standing: 'accepted' }
  if (target.firstContact === 'anyone') return { allowed: true, standing: 'requested' }
  return refuse(target.firstContact === 'consent' ? 'consent-required' : 'not-reachable')
}

function refuse(code: Exclude<ContactDecision, { allowed: true }>['code']): ContactDecision {
  return { allowed: false, code }
}

/** Another account of a direct room, as its partner's next message finds it. */
export interface Partner {
  standing: Standing
  /** Messages left to the sender while the partner has not accepted. */
  allowance: number
  blocksOrBlocked: boolean
  /** Where one of the two is behind an edge: whether the other still is opted in to its network. */
  optedIn: boolean
}

/** Why a message into a direct room is refused; undefined when it may pass. */
export function refuseDirectMessage(partner: Partner): HubErrorCode | undefined {
  if (partner.standing === 'left' || partner.standing === 'declined') return 'not-allowed'
  if (partner.blocksOrBlocked) return 'blocked'
  if (!partner.optedIn) return 'not-opted-in'
  if (partner.standing === 'requested' && partner.allowance <= 0) return 'request-limit'
  return undefined
}
