/**
 * What crosses between MIMI content and Matrix, feature by feature and way by way. A sender is told of every level below
 * `full`: `partial` crosses with a named loss, `rejected` does not cross and the sender could do otherwise, `dropped`
 * does not cross and has no equivalent on the other side.
 */
export type Level = 'full' | 'partial' | 'rejected' | 'dropped'

export type Feature =
  | 'text'
  | 'formatting'
  | 'reply'
  | 'notice'
  | 'emote'
  | 'thread'
  | 'mention'
  | 'edit'
  | 'deletion'
  | 'reaction'
  | 'media'
  | 'sticker'
  | 'location'
  | 'poll'
  | 'call'
  | 'verification'
  | 'disappearing'
  | 'unsupported'

export interface Capability {
  readonly toMatrix: Level
  readonly fromMatrix: Level
}

const both = (level: Level): Capability => ({ toMatrix: level, fromMatrix: level })

export const capabilities: Readonly<Record<Feature, Capability>> = {
  text: both('full'),
  formatting: both('full'),
  reply: both('full'),
  // A notice arrives as ordinary text, an action as text with a star in front: MIMI content has neither.
  notice: { toMatrix: 'full', fromMatrix: 'partial' },
  emote: { toMatrix: 'full', fromMatrix: 'partial' },
  // The text of a thread or topic arrives in the main conversation.
  thread: both('partial'),
  // The name is there, but nobody is called by it.
  mention: both('partial'),
  edit: both('rejected'),
  deletion: both('rejected'),
  reaction: both('rejected'),
  media: both('rejected'),
  sticker: both('rejected'),
  location: both('rejected'),
  poll: both('rejected'),
  call: both('dropped'),
  verification: both('dropped'),
  // A timer that the other side cannot keep is never silently let go.
  disappearing: both('rejected'),
  unsupported: both('rejected'),
}

/** What got lost of a message that crossed in part. */
export type Loss = 'formatting' | 'reply' | 'notice' | 'emote' | 'thread' | 'mention' | 'part'

/** Why a message did not cross: the feature that is missing, or what is wrong with this one. */
export type TranslationCode =
  | Exclude<Feature, 'text' | 'formatting' | 'reply' | 'notice' | 'emote' | 'thread' | 'mention'>
  | 'too-large'
  | 'empty'
  | 'malformed'

export interface Refused {
  readonly level: 'rejected' | 'dropped'
  readonly code: TranslationCode
}

/** The refusal of something whose feature does not cross this way. */
export function refused(code: TranslationCode, way: keyof Capability): Refused {
  const level = code in capabilities ? capabilities[code as Feature][way] : 'rejected'
  return { level: level === 'dropped' ? 'dropped' : 'rejected', code }
}
