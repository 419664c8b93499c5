import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { type Crypto, equalBytes } from '../crypto/index.ts'
import { type AccountAddress, type DeviceId, deviceIdOf, providerOf } from './address.ts'
import { type DeviceCertificate, openCertificate, readCertificate } from './certificate.ts'
import { asMalformed, requireValid } from './document.ts'
import { type Endorsement, openEndorsement, readEndorsement } from './endorsement.ts'
import { IdentityError } from './errors.ts'
import { type AccountKind, type DeviceKind, kindsAgree } from './kinds.ts'

/** What a leaf of a group proved about itself. */
export interface Leaf {
  address: AccountAddress
  accountKey: Uint8Array
  deviceKey: Uint8Array
  deviceId: DeviceId
  deviceKind: DeviceKind
  accountKind: AccountKind
  operator?: string
  network?: string
}

/** Which keys endorse accounts of a provider's domain; none for one that is not known. */
export interface ProviderTrust {
  providerKeys(provider: string): readonly Uint8Array[]
}

/** A certificate and an endorsement as issued. */
export interface Credential {
  certificate: Uint8Array
  endorsement: Uint8Array
}

const limits = { bytes: 3200, depth: 1, items: 3 }

/** The identity of an MLS basic credential (RFC 9420 §5.3). */
export function encodeCredential({ certificate, endorsement }: Credential): Uint8Array {
  return encodeCbor([certificate, endorsement])
}

/** Throws IdentityError 'malformed'. What is inside is not looked at. */
export function decodeCredential(identity: Uint8Array): Credential {
  return asMalformed('credential', () => {
    const fields = readArray(decodeCbor(identity, limits), 'credential')
    const credential = { certificate: fields.bytesUpTo(limits.bytes), endorsement: fields.bytesUpTo(limits.bytes) }
    fields.end()
    return credential
  })
}

/**
 * The one rule for every leaf, at the hub and at every member: a certificate by the account key over the key that signs
 * the leaf, and an endorsement of that account key by the provider in whose domain the address lies. So nobody outside
 * the provider claims its addresses, the provider adds no device to an account, and an edge shows as an edge.
 *
 * `signatureKey` is the leaf's. `at` is the log's time in seconds: members judge alike only by a common clock. Throws
 * IdentityError malformed, bad-signature, expired, not-yet-valid, key-mismatch, kind-mismatch, unknown-provider or
 * address-mismatch.
 */
export function verifyLeaf(
  crypto: Crypto,
  trust: ProviderTrust,
  identity: Uint8Array,
  signatureKey: Uint8Array,
  at: number,
): Leaf {
  const { certificate, endorsement } = verifiedDocuments(crypto, trust, identity, signatureKey)
  requireValid('device certificate', certificate, at)
  requireValid('endorsement', endorsement, at)
  return leafOf(crypto, certificate, endorsement)
}

/**
 * The same for a leaf that lies in a group already, at whoever joins it at `at`. Its members and its hub have judged the
 * leaf when it came in, and it stays when its documents run out: its device may have been away since. So there must have
 * been a time, up to `at`, at which both were valid. Throws as `verifyLeaf` does.
 */
export function verifySettledLeaf(
  crypto: Crypto,
  trust: ProviderTrust,
  identity: Uint8Array,
  signatureKey: Uint8Array,
  at: number,
): Leaf {
  const { certificate, endorsement } = verifiedDocuments(crypto, trust, identity, signatureKey)
  const last = Math.min(at, certificate.notAfter, endorsement.notAfter)
  requireValid('device certificate', certificate, last)
  requireValid('endorsement', endorsement, last)
  return leafOf(crypto, certificate, endorsement)
}

function verifiedDocuments(crypto: Crypto, trust: ProviderTrust, identity: Uint8Array, signatureKey: Uint8Array) {
  const { certificate: certificateBytes, endorsement: endorsementBytes } = decodeCredential(identity)
  const certificate = readCertificate(crypto, certificateBytes)
  const providerKeys = trust.providerKeys(providerOf(certificate.account))
  const endorsement = readEndorsement(crypto, endorsementBytes, providerKeys)
  requireAgreement(certificate, endorsement, signatureKey)
  return { certificate, endorsement }
}

/**
 * The same view of a leaf that `verifyLeaf` has passed before and that lies in a group since: decoded, nothing
 * verified. For state of our own, so that a commit in a room of a thousand does not cost two thousand signatures.
 */
export function readVerifiedLeaf(crypto: Crypto, identity: Uint8Array): Leaf {
  const { certificate, endorsement } = decodeCredential(identity)
  return leafOf(crypto, openCertificate(certificate).certificate, openEndorsement(endorsement).endorsement)
}

function requireAgreement(certificate: DeviceCertificate, endorsement: Endorsement, signatureKey: Uint8Array): void {
  if (endorsement.account !== certificate.account) {
    throw new IdentityError('address-mismatch', 'certificate and endorsement are of different accounts')
  }
  if (!equalBytes(endorsement.accountKey, certificate.accountKey)) {
    throw new IdentityError('key-mismatch', 'certificate and endorsement name different account keys')
  }
  if (!equalBytes(certificate.deviceKey, signatureKey)) {
    throw new IdentityError('key-mismatch', 'the certificate is for another key than the one that signs')
  }
  if (!kindsAgree(endorsement.kind, certificate.kind)) {
    throw new IdentityError('kind-mismatch', 'kinds of account and device do not go together')
  }
}

function leafOf(crypto: Crypto, certificate: DeviceCertificate, endorsement: Endorsement): Leaf {
  const leaf: Leaf = {
    address: certificate.account,
    accountKey: certificate.accountKey,
    deviceKey: certificate.deviceKey,
    deviceId: deviceIdOf(crypto, certificate.deviceKey),
    deviceKind: certificate.kind,
    accountKind: endorsement.kind,
  }
  if (endorsement.operator !== undefined) leaf.operator = endorsement.operator
  if (endorsement.network !== undefined) leaf.network = endorsement.network
  return leaf
}
