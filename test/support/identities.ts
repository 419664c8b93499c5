import type { Crypto, KeyPair } from '../../src/crypto/index.ts'
import {
  type AccountAddress,
  type AccountKind,
  type DeviceKind,
  encodeCredential,
  issueCertificate,
  issueEndorsement,
  issueManifest,
  type Manifest,
  manifestHash,
  newAccountAddress,
  type ProviderTrust,
} from '../../src/identity/index.ts'

/** For tests: accounts, devices and their documents, all valid around `now`. */

export const now = 1_800_000_000
export const year = 365 * 24 * 3600
const day = 24 * 3600

export interface TestProvider {
  domain: string
  keys: KeyPair
  trust: ProviderTrust
}

export interface TestAccount {
  provider: TestProvider
  kind: AccountKind
  address: AccountAddress
  keys: KeyPair
  endorsement: Uint8Array
}

export interface TestDevice {
  account: TestAccount
  kind: DeviceKind
  keys: KeyPair
  certificate: Uint8Array
  /** Identity of the MLS basic credential. */
  identity: Uint8Array
}

export function testProvider(crypto: Crypto, domain = 'silta.example'): TestProvider {
  const keys = crypto.generateKeyPair()
  return { domain, keys, trust: { providerKeys: (asked) => (asked === domain ? [keys.publicKey] : []) } }
}

export function testAccount(crypto: Crypto, provider: TestProvider, kind: AccountKind = 'person'): TestAccount {
  const keys = crypto.generateKeyPair()
  const address = newAccountAddress(crypto, provider.domain)
  const edge = kind === 'edge' ? { operator: 'bridge.example', network: 'matrix' } : {}
  const endorsement = issueEndorsement(crypto, provider.keys.privateKey, {
    account: address,
    accountKey: keys.publicKey,
    kind,
    ...edge,
    notBefore: now - day,
    notAfter: now + year,
  })
  return { provider, kind, address, keys, endorsement }
}

export function testDevice(
  crypto: Crypto,
  account: TestAccount,
  kind: DeviceKind = usualKind(account.kind),
): TestDevice {
  const keys = crypto.generateKeyPair()
  const certificate = issueCertificate(crypto, account.keys.privateKey, {
    account: account.address,
    accountKey: account.keys.publicKey,
    deviceKey: keys.publicKey,
    kind,
    notBefore: now - day,
    notAfter: now + year,
  })
  return {
    account,
    kind,
    keys,
    certificate,
    identity: encodeCredential({ certificate, endorsement: account.endorsement }),
  }
}

/** The next manifest of an account; `previous` is the signed one before it. */
export function testManifest(
  crypto: Crypto,
  account: TestAccount,
  devices: readonly TestDevice[],
  { number = 1, previous, ...rest }: Partial<Omit<Manifest, 'previous'>> & { previous?: Uint8Array } = {},
): Uint8Array {
  return issueManifest(crypto, account.keys.privateKey, {
    account: account.address,
    number,
    previous: previous ? manifestHash(crypto, previous) : new Uint8Array(number === 1 ? 0 : 32),
    devices: devices.map(({ keys, kind }) => ({ deviceKey: keys.publicKey, kind })),
    notBefore: now - day,
    notAfter: now + 13 * day,
    ...rest,
  })
}

function usualKind(kind: AccountKind): DeviceKind {
  return kind === 'edge' || kind === 'guest' ? kind : 'primary'
}
