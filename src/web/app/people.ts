import type { Member } from '../../client/index.ts'
import type { Conversation } from '../parts/conversation.ts'
import { say } from '../parts/language.ts'
import { nameOf, shownName } from '../parts/names.ts'

/** How a member is called here: a guest always as one. */
export function memberName(member: Member | undefined): string | undefined {
  const name = nameOf(member) ?? shownName(member?.profile?.foreignAddress)
  if (member?.accountKind === 'guest') return say('guest', { name: name ?? say('someone') })
  return name
}

/** How a conversation is called in the list and above it. */
export function titleOf(conversation: Conversation): string {
  const { room, members } = conversation.facts.value
  if (room?.kind === 'group') return shownName(room.name) ?? say('group.unnamed')
  const other = members.find(({ own }) => !own)
  return memberName(other) ?? shownName(conversation.notes.value.label) ?? say('list.unnamed')
}

/** Whom a person means: a Matrix id, an address of the messenger, or a handle (an @ in front of it does no harm). */
export function targetOf(text: string): Parameters<import('../../client/index.ts').Device['lookUp']>[0] {
  const whom = text.trim()
  if (whom.startsWith('mimi://')) return { address: whom as `mimi://${string}` as never }
  if (/^@[^:\s]+:\S+$/.test(whom)) return { network: 'matrix', value: whom }
  return { handle: whom.replace(/^@/, '').toLowerCase() }
}
