/**
 * Every sentence that a Matrix user reads in a conversation. A refusal says what happened, whether anything was lost, and
 * what to do next; nothing here names a key, an address or a fault's insides.
 */
import type { ClientErrorCode } from '../../client/index.ts'
import type { OutcomeKind } from '../../content/index.ts'
import type { Loss, TranslationCode } from '../matrix/translate/index.ts'
import type { Ending } from './portal-table.ts'
import type { Unfit } from './state-types.ts'

/** How the other one is called: their name once they have given it, else plainly. */
const called = (name: string | undefined): string => name ?? 'this person'
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

export const words = {
  requested: (name?: string) =>
    `Your request was sent. ${capital(called(name))} sees nothing of you but what you write until they accept. You can write now.`,
  asked: (name?: string) =>
    `${capital(called(name))} wants to be asked before anyone writes. They were asked. What you write here waits with the bridge, up to 14 days.`,
  accepted: (name?: string) => `${capital(called(name))} accepted.`,
  ended: (because: Ending, name?: string) => {
    const ends: Record<Ending, string> = {
      'left-here': 'You left this conversation.',
      'left-there': `${capital(called(name))} left this conversation. What was written stays here. To ask again, use "start" in the chat with the bot.`,
      'declined-here': 'You declined this conversation.',
      'declined-there': `${capital(called(name))} declined. Nothing you write here reaches them.`,
      'blocked-here': `You blocked ${called(name)}. Nothing reaches you from them any more. "unblock" in the chat with the bot takes it back.`,
      refused: `${capital(called(name))} cannot be reached from here. Nothing you write here reaches them.`,
    }
    return ends[because]
  },
  /** With an invitation that is taken back: all can read it, and there it names nobody. */
  withdrawn: (because: Ending) => {
    const ends: Partial<Record<Ending, string>> = {
      'left-there': 'They do not wish to write any more.',
      'declined-there': 'They declined.',
    }
    return ends[because]
  },
  nobody: () =>
    'There is nobody with this Matrix id. Write "start" and a handle to the bot, or find the person in your app.',
  unencrypted: () =>
    'Your message was not encrypted, so it was not passed on. Switch encryption on in your app and send it again.',
  undecryptable: () => 'Your message could not be read by the bridge, so it was not passed on. Please send it again.',
  keyMissing: () =>
    'Your message could not be read by the bridge yet: its key has not arrived. It is passed on if the key still comes. To be sure, send it again.',
  lost: () => 'A message that was sent to you could not be read by the bridge. Ask for it to be sent again.',
  gap: () => 'The bridge was away for long. Messages that were sent to you in the meantime may be missing here.',
  keyChanged: () =>
    'The other side has a new key, as after a change of phone. If that surprises you, ask them over another channel.',
  haveRoom: () => 'We have a room already. Let us go on there: nothing that is written here reaches anybody.',
  elsewhere: (reason: Exclude<Unfit, 'not-two'>) => {
    const reasons: Record<typeof reason, string> = {
      unencrypted: 'This room is not encrypted.',
      public: 'Others can enter this room, or read it, without being invited.',
      powerless: 'In this room I lack the right to state who can read it.',
    }
    return `${reasons[reason]} I opened an encrypted room of our own and invited you to it. Nothing that is written here reaches anybody.`
  },
  unsignedDevice: () =>
    'Your message came from a device that you have not verified, so it could be somebody else who writes in your name. Verify your devices in your app. What they send is passed on all the same.',
  memberKeyChanged: (name?: string) =>
    `${capital(name ?? 'a member of this group')} has a new key, as after a change of phone. If that surprises you, ask them over another channel.`,
  undone: (what: 'come' | 'go' | 'role' | 'name', code: string) => {
    const done = {
      come: 'Somebody who was invited here could not be added to the group',
      go: 'Somebody who was sent away here is still in the group, and is back',
      role: 'A power that was changed here was set back',
      name: 'The name that was set here was taken back',
    }
    return `${done[what]}: ${undoneReasons[code] ?? 'the messenger has refused it'}.`
  },
  levelsReset: () =>
    'The powers in this room were set to what they are in the group: owners, admins (50) and members (0). Other values have no counterpart there.',
  closedAgain: () =>
    'This room is for invited people again, and read by nobody else: so it was promised to the members on the other messenger.',
  notPossible: () =>
    'The group on the messenger has changed, and I may not do the same here. Make me an admin of this room (power 100).',
  notInGroup: () =>
    'Your message was not delivered: you are not in the group on the messenger. Ask somebody who is in it to invite you anew.',
  groupUnfit: (why: 'unencrypted' | 'public' | 'powerless' | 'too-many', bot: string, most: number) => {
    const reasons = {
      unencrypted: 'This room is not encrypted. Switch encryption on, then invite me again.',
      public: 'Everybody may enter or read this room. Make it for invited people only, then invite me again.',
      powerless: `I lack rights here: members come and go from both sides. Invite ${bot}, make it an admin (power 100), then invite me again.`,
      'too-many': `This room has too many members for me. Up to ${most} can be in a group.`,
    }
    return `${reasons[why]} Nothing that is written here reaches anybody.`
  },
  groupReplaced: () =>
    'This room was replaced, so the group goes on in a room of its own, into which its members are invited. Nothing that is written here reaches anybody any more.',
  groupMoved: () => 'The room that this group had was replaced by another one on Matrix, so it goes on here.',
  groupElsewhere: () =>
    'The group that this room is to take over has a room of its own, into which its members were invited. It goes on there: nothing that is written here reaches anybody.',
  replaced: () => 'This room was replaced, so our conversation goes on in a room of its own.',
  othersHere: () => 'Others can read this room now, so our conversation goes on in a room of its own.',
} as const

/** Why a change that was made on Matrix was taken back. */
const undoneReasons: Readonly<Record<string, string>> = {
  'not-allowed': 'the rule of the group does not allow it',
  'no-member': 'whoever did it is not in the group',
  'too-many': 'there are too many members already',
  'not-reachable': 'they cannot be reached, or do not wish to be',
  'not-opted-in': 'not everybody in it is reachable over Matrix',
  'no-key-packages': 'none of their devices can be reached now',
  'rate-limited': 'that was too much at once',
}

/** What a group's room is about, for somebody who looks at an invitation to it. */
export const groupTopic = 'A group with members on another messenger. To join is to accept; they see your name then.'

/** What a portal's room is about: for somebody who looks at an invitation to it, and where it was asked for or accepted. */
export const topics = {
  offered:
    'A conversation with somebody on another messenger. To join is to accept it, to decline is to refuse it; they learn nothing about you before you join.',
  open: 'A conversation with somebody on another messenger, over a bridge.',
} as const

/** Stands in for a message whose key has not come; the message takes its place when it does. */
export const placeholderText = 'A message was sent whose key has not arrived yet. It will appear here when it does.'

/** What the messenger's side said of a message that it could not take whole; undefined when there is nothing to say. */
export function outcomeWords(outcome: OutcomeKind): ((name?: string) => string) | undefined {
  if (outcome === 'rejected' || outcome === 'dropped')
    return (name) => `The app of ${called(name)} could not take your message.`
  return outcome === 'partial'
    ? (name) => `The app of ${called(name)} could take your message in part only.`
    : undefined
}

/** What got lost of the Matrix user's own messages; told once for each kind. */
export function lossWords(loss: Loss): string | undefined {
  const losses: Partial<Record<Loss, string>> = {
    emote: 'Your action arrives as a text with a star in front.',
    thread: 'Messages in a thread arrive in the main conversation.',
    formatting: 'Part of the formatting did not cross. All words did.',
    reply: 'You answered a message that the messenger does not know. Your answer arrives without the quotation.',
    part: 'A part of your message did not cross.',
  }
  return losses[loss]
}

/** Why something that the Matrix user sent, or wanted, did not happen. */
export function refusalWords(code: ClientErrorCode, what: 'message' | 'start', name?: string): string {
  const person = called(name)
  const lost = what === 'message' ? 'Your message was not delivered. ' : ''
  const reasons: Partial<Record<ClientErrorCode, string>> = {
    'not-reachable': `${capital(person)} cannot be reached, or does not wish to be.`,
    'not-found': `${capital(person)} cannot be reached, or does not wish to be.`,
    'not-opted-in': `${capital(person)} is not reachable over Matrix any more. They can switch that on in their app.`,
    // Before a conversation only one's own block is told as one.
    blocked:
      what === 'start'
        ? `You blocked ${person}. Use "unblock" in the chat with the bot first.`
        : `${capital(person)} does not take messages from you.`,
    'request-limit': `${capital(person)} has not accepted yet. Wait until they do, then write on.`,
    'consent-required': `${capital(person)} wants to be asked first. Use "start" in the chat with the bot.`,
    'rate-limited': 'That was too much at once. Try again in a few minutes.',
    'not-allowed':
      what === 'start'
        ? `${capital(person)} has declined, and is not asked again. They can still accept, if they think better of it.`
        : `${capital(person)} does not take part in this conversation (any more).`,
    'too-large': 'It is too long. Send it in parts.',
    'no-key-packages': `None of the devices of ${person} can be reached now. Try again later.`,
    'key-changed': `The key of ${person} has changed. Nothing is sent until that is explained. Ask them over another channel.`,
    'provider-changed':
      'The messenger shows another key than before. Nothing is sent until its operator has explained that.',
    'not-joined': 'This conversation has ended. Use "start" in the chat with the bot to begin anew.',
    'no-such-room': 'This conversation has ended. Use "start" in the chat with the bot to begin anew.',
    unlinked: 'Your account on the messenger has ended.',
  }
  return `${lost}${reasons[code] ?? 'The messenger has a passing fault. Try again in a few minutes.'}`
}

/** Why something that the Matrix user did in the room stayed in it. */
export function untranslatableWords(code: TranslationCode): string {
  const kept = 'It stayed in this room.'
  const reasons: Record<TranslationCode, string> = {
    media: `Pictures, voice messages and files do not cross yet. ${kept} Send text or a link.`,
    edit: 'Changing a message does not cross yet: they still see it as it was. Send the correction as a new message.',
    deletion: 'Removing a message does not cross yet: they still see it. Ask them to remove it on their side.',
    reaction: `Reactions do not cross yet. ${kept}`,
    sticker: `Stickers do not cross yet. ${kept}`,
    contact: `Contact cards do not cross yet. ${kept}`,
    poll: `Polls do not cross yet. ${kept}`,
    location: `Places do not cross yet. ${kept} Send the address as text.`,
    call: 'Calls do not cross yet. Nobody was rung.',
    verification: 'Comparing emoji is not possible here. The bridge answers for this person on Matrix.',
    disappearing: `This message was set to disappear, which Matrix cannot promise. ${kept}`,
    'too-large': `Your message is too long for the messenger. ${kept} Send it in parts.`,
    empty: `There was no text in your message. ${kept}`,
    malformed: `Your app sent something that cannot be read. ${kept}`,
    unsupported: `This kind of message does not cross yet. ${kept}`,
  }
  return reasons[code]
}
