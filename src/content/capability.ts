import type { OutcomeKind } from './outcome.ts'

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

/** How a feature crosses: whole, with a loss, left out, or the message with it refused. */
export type CapabilityLevel = Exclude<OutcomeKind, 'delivered'>

export interface Capability {
  level: CapabilityLevel
  /** Why it is not `full`: the code that the outcome of such a message has. */
  code?: string
}

/** What a network behind an edge can carry: data for clients, and what outcomes are computed from. */
export interface CapabilityDocument {
  version: 1
  network: string
  features: Readonly<Record<Feature, Capability>>
  limits: {
    /** Bytes of a text in UTF-8. */
    textBytes?: number
  }
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
