import { ClientError, type FirstContact, type RoomStanding } from '../../src/client/index.ts'
import type { Outcome } from '../../src/content/index.ts'

/** Something that the person typed cannot be done like that; the message says what can. */
export class Mistake extends Error {}

/** Why a message was not delivered, where this client knows more than the code says. */
export function explainRefusal(
  error: ClientError,
  known: { readonly blocked: boolean; readonly unreachableOver: string | undefined },
): string {
  if (error.code === 'blocked' && known.blocked) return 'You have blocked this person; /unblock takes that back.'
  if (error.code === 'not-opted-in' && known.unreachableOver)
    return `You cannot be reached over ${known.unreachableOver}; /reach on changes that.`
  if (error.code === 'not-allowed') return 'The other person does not take part in this conversation (any more).'
  return error.explanation
}

/** A failure in a sentence. */
export function explain(error: unknown): string {
  if (error instanceof ClientError) {
    const advice = error.code === 'consent-required' ? ' /ask NAME does that.' : ''
    return `${error.explanation}${advice}`
  }
  return error instanceof Error ? error.message : String(error)
}

const outcomes: Record<Outcome['outcome'], string> = {
  full: 'crossed whole',
  partial: 'crossed in part',
  dropped: 'did not cross: the other network has nothing like it',
  rejected: 'was refused on the other side',
  delivered: 'delivered',
}

export function describeOutcome({ outcome, code, detail }: Outcome): string {
  if (code === 'ended') return 'did not arrive: the other person had left'
  return detail ? `${outcomes[outcome]}. ${detail}` : outcomes[outcome]
}

export const standings: Record<RoomStanding, string> = {
  requested: ' — waits for your answer',
  accepted: '',
  declined: ' — declined',
  left: ' — left',
}

export const policies: Record<FirstContact, string> = {
  anyone: 'Anyone may write to you; strangers wait among your requests.',
  consent: 'Strangers have to ask for your consent before they can write.',
  nobody: 'Nobody may write to you first.',
}
