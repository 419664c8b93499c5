import type { Crypto } from '../crypto/index.ts'
import { type AccountAddress, maxAddressLength, parseAccountAddress } from './address.ts'
import { asMalformed, type DocumentKind, maxTime, openDocument, readValidity, signDocument } from './document.ts'
import { IdentityError } from './errors.ts'
import { type AccountKind, accountKinds } from './kinds.ts'

/** A provider's word that an address has an account key, and what kind of account it is. */
export interface Endorsement {
  account: AccountAddress
  /** Ed25519 public key, 32 bytes. */
  accountKey: Uint8Array
  kind: AccountKind
  /** Of an edge account: the domain of whoever runs the edge. */
  operator?: string
  /** Of an edge account: the network it speaks for, such as `matrix`. */
  network?: string
  /** Seconds since the epoch. */
  notBefore: number
  notAfter: number
}

const document: DocumentKind = {
  name: 'endorsement',
  label: 'silta identity v1 endorsement',
  // a key, a signature, an address of 300, a domain and a network: under 1000 bytes
  limits: { bytes: 2048, depth: 1, items: 9 },
}
const maxOperatorLength = 260
const maxNetworkLength = 64
// both are shown to people, so: nothing that draws itself as something else
const operatorForm = /^[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?$/
const networkForm = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/

/** Signed with the provider's private key. Throws IdentityError kind-mismatch or malformed for what nobody would accept. */
export function issueEndorsement(crypto: Crypto, providerPrivateKey: Uint8Array, endorsement: Endorsement): Uint8Array {
  requireEdgeNames(endorsement)
  const { account, accountKey, kind, operator = null, network = null, notBefore, notAfter } = endorsement
  const fields = [account, accountKey, kind, operator, network, notBefore, notAfter]
  return signDocument(crypto, document, providerPrivateKey, fields)
}

/**
 * Reads an endorsement and verifies it under one of the provider's keys (two while it changes keys). Throws
 * IdentityError malformed, kind-mismatch, unknown-provider when no key is given, or bad-signature.
 */
export function readEndorsement(crypto: Crypto, bytes: Uint8Array, providerKeys: readonly Uint8Array[]): Endorsement {
  const { endorsement, verify } = openEndorsement(bytes)
  if (providerKeys.length === 0) throw new IdentityError('unknown-provider', 'no key of this provider is known')
  verify(crypto, ...providerKeys)
  return endorsement
}

/** Decodes without believing, so that the address can say whose keys to verify under. */
export function openEndorsement(bytes: Uint8Array) {
  const { fields, verify } = openDocument(document, bytes)
  const endorsement = asMalformed(document.name, () => {
    const account = parseAccountAddress(fields.text(maxAddressLength))
    const accountKey = fields.bytes(32)
    const kind = fields.oneOf(accountKinds)
    const operator = fields.textOrNull(maxOperatorLength)
    const network = fields.textOrNull(maxNetworkLength)
    const validity = readValidity(fields, maxTime)
    fields.end()
    const read: Endorsement = { account, accountKey, kind, ...validity }
    if (operator !== undefined) read.operator = operator
    if (network !== undefined) read.network = network
    return read
  })
  requireEdgeNames(endorsement)
  return { endorsement, verify }
}

/** An edge account without a named reader would make a room look native; another account has no such reader. */
function requireEdgeNames({ kind, operator, network }: Endorsement): void {
  const named = operator !== undefined && network !== undefined
  if (kind === 'edge' ? !named : operator !== undefined || network !== undefined) {
    throw new IdentityError('kind-mismatch', 'an edge account, and no other, has an operator and a network')
  }
  if (named && !(operatorForm.test(operator) && networkForm.test(network))) {
    throw new IdentityError('malformed', 'operator or network is not in the form of a domain or a network name')
  }
}
