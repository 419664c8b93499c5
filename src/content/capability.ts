import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { asContentError, ContentError } from './errors.ts'
import { documentLimits } from './limits.ts'
import { bodyOfType, mediaTypes, singlePart } from './media-type.ts'
import type { OutcomeKind } from './outcome.ts'
import { type ContentDraft, disposition, type MimiContent } from './types.ts'

/** What a message can have or be. */
export const features = [
  'text',
  'formatting',
  'reply',
  'edit',
  'delete',
  'reaction',
  'mention',
  'delivery-receipt',
  'read-receipt',
  'typing',
  'image',
  'video',
  'voice',
  'file',
  'location',
  'sticker',
  'contact',
  'poll',
  'expiry',
  'view-once',
  'call',
] as const

export type Feature = (typeof features)[number]

/** From the best to the worst. */
const levels = ['full', 'partial', 'dropped', 'rejected'] as const satisfies CapabilityLevel[]

/** How a feature crosses: whole, with a loss, left out, or the message with it refused. */
export type CapabilityLevel = Exclude<OutcomeKind, 'delivered'>

export interface Capability {
  level: CapabilityLevel
  /** Why it is not `full`: the code that the outcome of such a message has. */
  code?: string
}

/** What a network can carry: data for clients, and what outcomes are computed from. */
export interface CapabilityDocument {
  version: 1
  network: string
  features: Readonly<Record<Feature, Capability>>
  limits: {
    /** Bytes of a text in UTF-8. */
    textBytes?: number
  }
}

/** What can be said in one room: the worst of what its networks carry. */
export interface RoomCapabilities extends Omit<CapabilityDocument, 'network'> {
  /** Whose documents it was computed from: the messenger's own network has the name `messenger`. */
  networks: readonly string[]
}

/** A document in which everything that is not named is refused as `not-supported`. */
export function capabilityDocument(
  network: string,
  supported: Readonly<Partial<Record<Feature, Capability>>>,
  limits: CapabilityDocument['limits'] = {},
): CapabilityDocument {
  const all = features.map((feature) => [feature, supported[feature] ?? { level: 'rejected', code: 'not-supported' }])
  return { version: 1, network, features: Object.fromEntries(all), limits }
}

const full = { level: 'full' } as const

/** Bytes of a text that fit into one message of the messenger, with its forms for Markdown and HTML beside it. */
const textBytes = 16 * 1024

/** Between the messenger's own devices. */
export const messengerCapabilities = /* @__PURE__ */ capabilityDocument(
  'messenger',
  {
    text: full,
    formatting: full,
    reply: full,
    edit: full,
    delete: full,
    reaction: full,
    mention: full,
    'delivery-receipt': full,
    'read-receipt': full,
    typing: full,
  },
  { textBytes },
)

/** In a chat with a guest: text and answers alone. */
export const guestCapabilities = /* @__PURE__ */ capabilityDocument(
  'guest',
  {
    text: full,
    formatting: full,
    reply: full,
    mention: full,
    'delivery-receipt': full,
    'read-receipt': full,
    typing: full,
  },
  { textBytes: 4 * 1024 },
)

/** What a room can carry whose members are on these networks: each feature as it crosses to the least of them. */
export function combineCapabilities(documents: readonly CapabilityDocument[]): RoomCapabilities {
  const worst = (feature: Feature): Capability =>
    documents
      .map((document) => document.features[feature])
      .reduce((a, b) => (levels.indexOf(b.level) > levels.indexOf(a.level) ? b : a), full as Capability)
  const bounds = documents.flatMap(({ limits }) => (limits.textBytes === undefined ? [] : [limits.textBytes]))
  return {
    version: 1,
    networks: [...new Set(documents.map(({ network }) => network))].sort(),
    features: Object.fromEntries(features.map((feature) => [feature, worst(feature)])) as Record<Feature, Capability>,
    limits: bounds.length > 0 ? { textBytes: Math.min(...bounds) } : {},
  }
}

const name = 'capabilities'
const limits = { ...documentLimits, depth: 3 }

/**
 * A message by which an edge says what its network carries (media type application/vnd.silta.capabilities+cbor:
 * `[1, network, [[feature, level, code or null], …], text bytes or null]`).
 */
export function capabilitiesMessage(document: CapabilityDocument): ContentDraft {
  const list = Object.entries(document.features).map(([feature, { level, code }]) => [feature, level, code ?? null])
  const bytes = asContentError(name, () => encodeCbor([1, document.network, list, document.limits.textBytes ?? null]))
  decodeCapabilities(bytes)
  return { body: singlePart(mediaTypes.capabilities, bytes, disposition.unspecified) }
}

/** The document that a message is; undefined when it is another message. Throws ContentError when it cannot be read. */
export function readCapabilities(content: Pick<MimiContent, 'body'>): CapabilityDocument | undefined {
  const bytes = bodyOfType(content, mediaTypes.capabilities)
  return bytes && decodeCapabilities(bytes)
}

function decodeCapabilities(bytes: Uint8Array): CapabilityDocument {
  return asContentError(name, () => {
    const fields = readArray(decodeCbor(bytes, limits), name)
    if (fields.unsigned(255) !== 1) throw new ContentError('malformed', 'capabilities of another version')
    const network = fields.text(64)
    const supported: Partial<Record<Feature, Capability>> = {}
    for (const item of fields.array()) {
      const entry = readArray(item, name)
      const feature = entry.text(64)
      const level = entry.oneOf(levels)
      const code = entry.textOrNull(64)
      entry.end()
      // One that is not known here is nothing that could be offered.
      if ((features as readonly string[]).includes(feature))
        supported[feature as Feature] = code === undefined ? { level } : { level, code }
    }
    const [bound] = [fields.any()]
    fields.end()
    if (bound !== null && !(typeof bound === 'number' && Number.isSafeInteger(bound) && bound >= 0))
      throw new ContentError('malformed', 'a limit that is no number')
    return capabilityDocument(network, supported, bound === null ? {} : { textBytes: bound })
  })
}
