import type { CborLimits } from '../cbor/index.ts'

/** Parts of one message, nested ones included (draft-ietf-mimi-content-08 §9.1). */
export const maxParts = 1024

/** Bytes of a topic id (§9.1). */
export const maxTopicBytes = 4096

/** Arrays, maps and tags within each other in the map of extensions, itself the first (§6.3). */
export const maxExtensionDepth = 4

/**
 * Of one message. Parts nest four deep (§6.3): the message, then for each level an array and, but for the last, the
 * array of its parts. 256 KiB is far above any text; what is larger travels as an external part.
 */
export const contentLimits: CborLimits = { bytes: 256 * 1024, depth: 8, items: 20 * maxParts }

/** Of a small document inside a part: a report, an outcome, a profile. */
export const documentLimits: CborLimits = { bytes: 64 * 1024, depth: 2, items: 4096 }
