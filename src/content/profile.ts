import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { asContentError } from './errors.ts'
import { documentLimits } from './limits.ts'
import { bodyOfType, mediaTypes, singlePart } from './media-type.ts'
import { type ContentDraft, disposition, type MimiContent } from './types.ts'

/** What an account says of itself to the members of a room: encrypted to them, never in a leaf, never to the hub. */
export interface Profile {
  /** At most 256 UTF-16 units. */
  name?: string
  /** The address on a foreign network, given by an edge for the user it speaks for; at most 1024 UTF-16 units. */
  foreignAddress?: string
}

const maxNameLength = 256
const maxForeignAddressLength = 1024
const document = 'profile'

/** A message that carries a profile (media type application/vnd.silta.profile+cbor: `[name or null, address or null]`). */
export function profileMessage(profile: Profile): ContentDraft {
  const bytes = asContentError(document, () => encodeCbor([profile.name ?? null, profile.foreignAddress ?? null]))
  decodeProfile(bytes)
  return { body: singlePart(mediaTypes.profile, bytes, disposition.profile) }
}

/** The profile that a message is; undefined when it is another message. Throws ContentError when it cannot be read. */
export function readProfile(content: Pick<MimiContent, 'body'>): Profile | undefined {
  const bytes = bodyOfType(content, mediaTypes.profile)
  return bytes && decodeProfile(bytes)
}

function decodeProfile(bytes: Uint8Array): Profile {
  return asContentError(document, () => {
    const fields = readArray(decodeCbor(bytes, documentLimits), document)
    const name = fields.textOrNull(maxNameLength)
    const foreignAddress = fields.textOrNull(maxForeignAddressLength)
    fields.end()
    const profile: Profile = {}
    if (name !== undefined) profile.name = name
    if (foreignAddress !== undefined) profile.foreignAddress = foreignAddress
    return profile
  })
}
