/**
 * What is wrong with an identity. Trying again helps with none of them, except that an expired or older document can be
 * replaced by a newer one from its issuer.
 *
 * - malformed: not a document of its kind, or not in its one encoding
 * - bad-signature: forged, changed, or signed for another purpose
 * - expired, not-yet-valid: outside its validity at the time of the log
 * - key-mismatch: certificate, endorsement and leaf name different keys
 * - kind-mismatch: device and account kinds that do not go together, such as an edge posing as a phone
 * - unknown-provider: no key is known for the address' provider
 * - address-mismatch: documents of different accounts
 * - older: a manifest with a lower number than the one in force
 * - conflict: another manifest under the same number, or one that does not follow from the one in force
 * - no-manifest: an account in a group without a manifest in force there
 * - not-in-manifest: a device that its account's manifest in force does not list
 * - duplicate-device: one device with two leaves
 * - unknown-account: a manifest of an account that has nothing to do with the group
 * - not-a-member: an external join by an account that is not in the group, or under a new account key; or a leaf that
 *   turned into another device
 */
export type IdentityErrorCode =
  | 'malformed'
  | 'bad-signature'
  | 'expired'
  | 'not-yet-valid'
  | 'key-mismatch'
  | 'kind-mismatch'
  | 'unknown-provider'
  | 'address-mismatch'
  | 'older'
  | 'conflict'
  | 'no-manifest'
  | 'not-in-manifest'
  | 'duplicate-device'
  | 'unknown-account'
  | 'not-a-member'

export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: IdentityErrorCode

  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
