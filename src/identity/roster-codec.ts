import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { type AccountAddress, maxAddressLength, parseAccountAddress } from './address.ts'
import { asMalformed } from './document.ts'
import { openManifest } from './manifest.ts'
import type { Roster, RosterEntry } from './roster.ts'

/**
 * Accounts that a group's roster has room for, counting all that ever were in it: an entry outlives its account, so this
 * bounds a group's life. The hub's limit for a GroupInfo is reached before it.
 */
export const mostRosterAccounts = 65_536

// Some 90 bytes for an account that has left, 300 with a usual document: all that left, and 2000 that are there
const limits = { bytes: 16 * 2 ** 20, depth: 2, items: 5 * mostRosterAccounts + 1 }
const maxDocument = 4096

/** A roster as bytes for one's own storage: deterministic CBOR `[[address, number, hash, document or null], …]`. */
export function encodeRoster(roster: Roster): Uint8Array {
  return encodeCbor(
    [...roster].map(([account, { number, hash, inForce }]) => [account, number, hash, inForce?.document ?? null]),
  )
}

/**
 * Reverses `encodeRoster`. Signatures are not verified again: for bytes from one's own storage, never from outside,
 * where `joinRoster` is the door. Throws IdentityError 'malformed'.
 */
export function decodeRoster(bytes: Uint8Array): Roster {
  return asMalformed('roster', () => {
    const entries = readArray([decodeCbor(bytes, limits)], 'roster').array()
    return new Map(entries.map(readEntry))
  })
}

function readEntry(value: unknown): [AccountAddress, RosterEntry] {
  const fields = readArray(value, 'entry of a roster')
  const account = parseAccountAddress(fields.text(maxAddressLength))
  const entry: RosterEntry = { number: fields.unsigned(Number.MAX_SAFE_INTEGER), hash: fields.bytes(32) }
  const document = fields.bytesUpToOrNull(maxDocument)
  fields.end()
  if (document) entry.inForce = { document, manifest: openManifest(document).manifest }
  return [account, entry]
}
