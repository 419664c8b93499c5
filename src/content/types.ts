/** A message of draft-ietf-mimi-content-08 §3. Absent fields are the draft's null, empty string or empty map. */
export interface MimiContent {
  /** 16 random bytes, of this message alone. */
  salt: Uint8Array
  /** Id of the message that this one takes the place of: an edit, or with a null part a deletion. */
  replaces?: Uint8Array
  /** Groups messages into a topic; at most 4096 bytes. */
  topicId?: Uint8Array
  expires?: Expiration
  /** Id of the message that this one answers or reacts to. */
  inReplyTo?: Uint8Array
  /** Extension 1: the sender as a participant, a `mimi:` URI. */
  sender?: string
  /** Extension 2: the room, a `mimi:` URI. */
  room?: string
  /** Further extensions by key; each value is the deterministic CBOR of one item, kept as it came. */
  extensions?: ReadonlyMap<number | string, Uint8Array>
  body: Part
}

/** A message that has not been sent yet: its salt, sender and room are filled in by the device. */
export type ContentDraft = Omit<MimiContent, 'salt'>

export interface Expiration {
  /** Whether `seconds` count from when the message is read, or from the epoch. */
  relative: boolean
  seconds: number
}

/** NestedPart (§3.4). */
export type Part = NullPart | SinglePart | ExternalPart | MultiPart

interface PartBase {
  /** One of `disposition`, or another value up to 255, to be treated as `render`. */
  disposition: number
  /** Empty, or language tags (RFC 5646) with commas between. */
  language: string
}

export interface NullPart extends PartBase {
  cardinality: 'null'
}

export interface SinglePart extends PartBase {
  cardinality: 'single'
  contentType: string
  content: Uint8Array
}

/** Content that lies elsewhere (§3.4.1). */
export interface ExternalPart extends PartBase {
  cardinality: 'external'
  contentType: string
  url: string
  /** Seconds since the epoch after which the content is gone; 0: it stays. */
  expires: number
  /** Bytes; 0: not said. */
  size: bigint
  /** IANA AEAD algorithm number (1 is AES-128-GCM, 2 AES-256-GCM); 0: not encrypted. */
  encAlg: number
  key: Uint8Array
  nonce: Uint8Array
  aad: Uint8Array
  /** IANA named information hash (1 is SHA-256); 0: none. */
  hashAlg: number
  contentHash: Uint8Array
  description: string
  filename: string
}

export interface MultiPart extends PartBase {
  cardinality: 'multi'
  semantics: PartSemantics
  /** Two or more. */
  parts: readonly Part[]
}

/** chooseOne: alternatives. singleUnit: all or nothing. processAll: each for itself, as far as understood. */
export type PartSemantics = 'chooseOne' | 'singleUnit' | 'processAll'

/** MIMI Content Disposition registry (§8.2.2). */
export const disposition = {
  unspecified: 0,
  render: 1,
  reaction: 2,
  profile: 3,
  inline: 4,
  icon: 5,
  attachment: 6,
  session: 7,
  preview: 8,
} as const
