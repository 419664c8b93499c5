import { type CapabilityDocument, capabilityDocument } from '../../../content/index.ts'

/** What got lost of a message that crossed in part. */
export type Loss = 'formatting' | 'reply' | 'notice' | 'emote' | 'thread' | 'mention' | 'part'

/** Why a message did not cross: what it is that the other side cannot have (yet), or what is wrong with this one. */
export const translationCodes = [
  'media',
  'edit',
  'deletion',
  'reaction',
  'sticker',
  'location',
  'contact',
  'poll',
  'call',
  'verification',
  'disappearing',
  'unsupported',
  'too-large',
  'empty',
  'malformed',
] as const
export type TranslationCode = (typeof translationCodes)[number]

/** Did not cross. `rejected`: the sender could do otherwise. `dropped`: the other side has nothing like it. */
export interface Refused {
  readonly level: 'rejected' | 'dropped'
  readonly code: TranslationCode
}

const dropped: ReadonlySet<TranslationCode> = new Set<TranslationCode>(['call', 'verification'])

export const refused = (code: TranslationCode): Refused => ({ level: dropped.has(code) ? 'dropped' : 'rejected', code })

export const isRefused = (result: object): result is Refused => 'level' in result

const no = (code: TranslationCode) => ({ level: refused(code).level, code })

/** What crosses between the messenger and Matrix, for clients to know before they send. The codes are those of outcomes. */
export const matrixCapabilities: CapabilityDocument = capabilityDocument(
  'matrix',
  {
    text: { level: 'full' },
    formatting: { level: 'full' },
    reply: { level: 'full' },
    'delivery-receipt': { level: 'full' },
    'read-receipt': { level: 'full' },
    typing: { level: 'full' },
    // Of whoever is in the room.
    mention: { level: 'full' },
    edit: no('edit'),
    delete: no('deletion'),
    reaction: no('reaction'),
    image: no('media'),
    video: no('media'),
    voice: no('media'),
    file: no('media'),
    'view-once': no('media'),
    location: no('location'),
    sticker: no('sticker'),
    contact: no('contact'),
    poll: no('poll'),
    call: no('call'),
    // A timer that Matrix cannot keep is never silently let go.
    expiry: no('disappearing'),
  },
  // What a Matrix event has left for its text once it is encrypted; see `eventBytes` of the portals' settings.
  { textBytes: 40_000 },
)
