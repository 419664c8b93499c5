import type { Crypto } from '../crypto/index.ts'
import { type AccountAddress, maxAddressLength, parseAccountAddress } from './address.ts'
import { asMalformed, type DocumentKind, maxTime, openDocument, readValidity, signDocument } from './document.ts'
import { type DeviceKind, deviceKinds } from './kinds.ts'

/** An account's word that a device is its own. */
export interface DeviceCertificate {
  account: AccountAddress
  /** Ed25519 public key that signed it, 32 bytes. */
  accountKey: Uint8Array
  /** Ed25519 public key of the device, 32 bytes: signs its leaves and its log-in. */
  deviceKey: Uint8Array
  kind: DeviceKind
  /** Seconds since the epoch. */
  notBefore: number
  notAfter: number
}

const document: DocumentKind = {
  name: 'device certificate',
  label: 'silta identity v1 device certificate',
  // two keys, a signature, an address of 300: under 600 bytes
  limits: { bytes: 1024, depth: 1, items: 8 },
}

/** Signed with the account's private key. `certificate.accountKey` is the public part of it. */
export function issueCertificate(
  crypto: Crypto,
  accountPrivateKey: Uint8Array,
  { account, accountKey, deviceKey, kind, notBefore, notAfter }: DeviceCertificate,
): Uint8Array {
  return signDocument(crypto, document, accountPrivateKey, [account, accountKey, deviceKey, kind, notBefore, notAfter])
}

/**
 * Reads a certificate and verifies it under the account key that it states. Whether that key is the account's is what
 * an endorsement says; whether it is valid now, `verifyLeaf`. Throws IdentityError malformed or bad-signature.
 */
export function readCertificate(crypto: Crypto, bytes: Uint8Array): DeviceCertificate {
  const { certificate, verify } = openCertificate(bytes)
  verify(crypto, certificate.accountKey)
  return certificate
}

/** Decodes without believing. Throws IdentityError malformed. */
export function openCertificate(bytes: Uint8Array) {
  const { fields, verify } = openDocument(document, bytes)
  const certificate = asMalformed(document.name, (): DeviceCertificate => {
    const read = {
      account: parseAccountAddress(fields.text(maxAddressLength)),
      accountKey: fields.bytes(32),
      deviceKey: fields.bytes(32),
      kind: fields.oneOf(deviceKinds),
      ...readValidity(fields, maxTime),
    }
    fields.end()
    return read
  })
  return { certificate, verify }
}
