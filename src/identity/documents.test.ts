import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { now, testAccount, testDevice, testManifest, testProvider, year } from '../../test/support/identities.ts'
import { decodeCbor, encodeCbor } from '../cbor/index.ts'
import { concatBytes, utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import {
  acceptManifest,
  type DeviceCertificate,
  type Endorsement,
  encodeCredential,
  IdentityError,
  issueCertificate,
  issueEndorsement,
  issueManifest,
  type Manifest,
  manifestHash,
  maxManifestDevices,
  readCertificate,
  readEndorsement,
  readManifest,
  readVerifiedLeaf,
  verifyLeaf,
  verifySettledLeaf,
} from './index.ts'

const provider = testProvider(crypto)
const account = testAccount(crypto, provider)
const phone = testDevice(crypto, account)
const tablet = testDevice(crypto, account, 'companion')
const edgeAccount = testAccount(crypto, provider, 'edge')
const edge = testDevice(crypto, edgeAccount)
const manifest = testManifest(crypto, account, [phone, tablet])

const open = { bytes: 8192, depth: 8, items: 500 }
const refusedAs = (code: string) => (error: unknown) => error instanceof IdentityError && error.code === code
const check = (identity: Uint8Array, key: Uint8Array, at = now) => verifyLeaf(crypto, provider.trust, identity, key, at)

const certificate = (change: Partial<DeviceCertificate> = {}): DeviceCertificate => ({
  account: account.address,
  accountKey: account.keys.publicKey,
  deviceKey: phone.keys.publicKey,
  kind: 'primary',
  notBefore: now,
  notAfter: now + 10,
  ...change,
})
const endorsement = (change: Partial<Endorsement> = {}): Endorsement => ({
  account: account.address,
  accountKey: account.keys.publicKey,
  kind: 'person',
  notBefore: now,
  notAfter: now + 10,
  ...change,
})

describe('a leaf', () => {
  test('of a person proves address, keys and kinds', () => {
    const leaf = check(phone.identity, phone.keys.publicKey)
    assert.deepEqual(leaf, {
      address: account.address,
      accountKey: account.keys.publicKey,
      deviceKey: phone.keys.publicKey,
      deviceId: leaf.deviceId,
      deviceKind: 'primary',
      accountKind: 'person',
    })
    assert.equal(leaf.deviceId.length, 22)
    assert.deepEqual(readVerifiedLeaf(crypto, phone.identity), leaf)
  })

  test('of an edge names its operator and network', () => {
    const { operator, network, deviceKind } = check(edge.identity, edge.keys.publicKey)
    assert.deepEqual([operator, network, deviceKind], ['bridge.example', 'matrix', 'edge'])
  })

  test('with a certificate that was forged is refused', () => {
    const other = crypto.generateKeyPair()
    const forged = issueCertificate(crypto, other.privateKey, certificate())
    const identity = encodeCredential({ certificate: forged, endorsement: account.endorsement })
    assert.throws(() => check(identity, phone.keys.publicKey), refusedAs('bad-signature'))
    // signed in earnest, but by a key that the provider never endorsed for the address
    const own = issueCertificate(crypto, other.privateKey, certificate({ accountKey: other.publicKey }))
    const stranger = encodeCredential({ certificate: own, endorsement: account.endorsement })
    assert.throws(() => check(stranger, phone.keys.publicKey), refusedAs('key-mismatch'))
  })

  test('with an endorsement that the provider did not sign is refused', () => {
    const forged = issueEndorsement(crypto, crypto.generateKeyPair().privateKey, endorsement())
    const identity = encodeCredential({ certificate: phone.certificate, endorsement: forged })
    assert.throws(() => check(identity, phone.keys.publicKey), refusedAs('bad-signature'))
  })

  test('of a provider that nobody knows is refused, and one provider cannot endorse for another', () => {
    const elsewhere = testProvider(crypto, 'other.example')
    const stranger = testDevice(crypto, testAccount(crypto, elsewhere))
    assert.throws(() => check(stranger.identity, stranger.keys.publicKey), refusedAs('unknown-provider'))
    const trust = {
      providerKeys: (name: string) =>
        name === 'other.example' ? [elsewhere.keys.publicKey] : [provider.keys.publicKey],
    }
    const claimed = issueEndorsement(crypto, elsewhere.keys.privateKey, endorsement())
    const identity = encodeCredential({ certificate: phone.certificate, endorsement: claimed })
    assert.throws(() => verifyLeaf(crypto, trust, identity, phone.keys.publicKey, now), refusedAs('bad-signature'))
  })

  test('is refused before and after the validity of either document', () => {
    const { certificate: usual } = phone
    const short = issueEndorsement(crypto, provider.keys.privateKey, endorsement())
    for (const identity of [
      encodeCredential({ certificate: usual, endorsement: short }),
      encodeCredential({
        certificate: issueCertificate(crypto, account.keys.privateKey, certificate()),
        endorsement: account.endorsement,
      }),
    ]) {
      assert.throws(() => check(identity, phone.keys.publicKey, now - 1), refusedAs('not-yet-valid'))
      assert.ok(check(identity, phone.keys.publicKey, now))
      assert.ok(check(identity, phone.keys.publicKey, now + 10))
      assert.throws(() => check(identity, phone.keys.publicKey, now + 11), refusedAs('expired'))
      assert.throws(() => check(identity, phone.keys.publicKey, Number.NaN), refusedAs('not-yet-valid'))
    }
  })

  test('that lies in a group already stays when its documents run out, if both were ever valid together', () => {
    const settled = (identity: Uint8Array, at: number) =>
      verifySettledLeaf(crypto, provider.trust, identity, phone.keys.publicKey, at)
    const endorsed = (validity: { notBefore: number; notAfter: number }) =>
      encodeCredential({
        certificate: issueCertificate(crypto, account.keys.privateKey, certificate()),
        endorsement: issueEndorsement(crypto, provider.keys.privateKey, { ...endorsement(), ...validity }),
      })
    const identity = endorsed({ notBefore: now, notAfter: now + 5 })
    assert.throws(() => settled(identity, now - 1), refusedAs('not-yet-valid'))
    for (const at of [now, now + 5, now + 6, now + 1000]) assert.ok(settled(identity, at))
    const never = endorsed({ notBefore: now + 11, notAfter: now + 20 })
    assert.throws(() => settled(never, now + 1000), refusedAs('not-yet-valid'))
    const forged = issueEndorsement(crypto, account.keys.privateKey, endorsement())
    const unsigned = encodeCredential({ certificate: phone.certificate, endorsement: forged })
    assert.throws(() => settled(unsigned, now), refusedAs('bad-signature'))
  })

  test('signed with another key than the certificate names is refused', () => {
    assert.throws(() => check(phone.identity, tablet.keys.publicKey), refusedAs('key-mismatch'))
  })

  test('with documents of two accounts is refused', () => {
    const other = testAccount(crypto, provider)
    const identity = encodeCredential({ certificate: phone.certificate, endorsement: other.endorsement })
    assert.throws(() => check(identity, phone.keys.publicKey), refusedAs('address-mismatch'))
  })

  test('of an edge that poses as a phone is refused, and every other mixture of kinds', () => {
    for (const [accountKind, deviceKind] of [
      ['edge', 'primary'],
      ['edge', 'companion'],
      ['edge', 'guest'],
      ['person', 'edge'],
      ['business', 'edge'],
      ['person', 'guest'],
      ['guest', 'primary'],
      ['guest', 'edge'],
    ] as const) {
      const posing = testDevice(crypto, testAccount(crypto, provider, accountKind), deviceKind)
      assert.throws(() => check(posing.identity, posing.keys.publicKey), refusedAs('kind-mismatch'))
    }
    for (const [accountKind, deviceKind] of [
      ['business', 'companion'],
      ['guest', 'guest'],
    ] as const) {
      const device = testDevice(crypto, testAccount(crypto, provider, accountKind), deviceKind)
      assert.equal(check(device.identity, device.keys.publicKey).deviceKind, deviceKind)
    }
  })
})

describe('an endorsement', () => {
  test('is believed under any of the keys of its provider, as while it changes them', () => {
    const next = crypto.generateKeyPair()
    const bytes = issueEndorsement(crypto, next.privateKey, endorsement())
    assert.deepEqual(readEndorsement(crypto, bytes, [provider.keys.publicKey, next.publicKey]), endorsement())
    assert.throws(() => readEndorsement(crypto, bytes, [provider.keys.publicKey]), refusedAs('bad-signature'))
    assert.throws(() => readEndorsement(crypto, bytes, []), refusedAs('unknown-provider'))
  })

  test('of an edge without operator and network is not made, nor one of a person with them', () => {
    for (const change of [
      { kind: 'edge' },
      { kind: 'edge', operator: 'bridge.example' },
      { kind: 'person', operator: 'bridge.example', network: 'matrix' },
      { kind: 'person', network: 'matrix' },
    ] as const) {
      const make = () => issueEndorsement(crypto, provider.keys.privateKey, endorsement(change))
      assert.throws(make, refusedAs('kind-mismatch'))
    }
  })

  test('names operator and network in letters that look like nothing else', () => {
    for (const operator of ['', 'Bridge.example', 'bridge.example, which is fine', 'brіdge.example', 'b\u202e', '-x']) {
      const change = { kind: 'edge', operator, network: 'matrix' } as const
      const make = () => issueEndorsement(crypto, provider.keys.privateKey, endorsement(change))
      assert.throws(make, refusedAs('malformed'), operator)
    }
  })
})

describe('signed documents', () => {
  test('come back as they were issued', () => {
    const bytes = issueCertificate(crypto, account.keys.privateKey, certificate())
    assert.deepEqual(readCertificate(crypto, bytes), certificate())
    const { number, devices } = readManifest(crypto, manifest, account.keys.publicKey)
    assert.equal(number, 1)
    assert.deepEqual(devices, [
      { deviceKey: phone.keys.publicKey, kind: 'primary' },
      { deviceKey: tablet.keys.publicKey, kind: 'companion' },
    ])
  })

  // Without a label in what is signed, a signature made for one purpose would serve another.
  test('of one kind are not taken for another, though the same key signed them', () => {
    const [body] = decodeCbor(phone.certificate, open) as [Uint8Array]
    for (const label of ['silta identity v1 manifest', 'silta identity v1 endorsement', 'silta messenger v1 account']) {
      const signature = crypto.sign(account.keys.privateKey, concatBytes(utf8(label), Uint8Array.of(0), body))
      assert.throws(() => readCertificate(crypto, encodeCbor([body, signature])), refusedAs('bad-signature'))
    }
    const bare = crypto.sign(account.keys.privateKey, body)
    assert.throws(() => readCertificate(crypto, encodeCbor([body, bare])), refusedAs('bad-signature'))
  })

  test('with one byte changed are refused, whichever it is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(phone.certificate, account.endorsement, manifest),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, at, change) => {
          const changed = bytes.slice()
          changed[at % bytes.length]! ^= change
          for (const read of readers) assert.throws(() => read(changed), IdentityError)
        },
      ),
      { numRuns: 400 },
    )
  })

  test('any bytes give a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const read of [...readers, (given: Uint8Array) => check(given, phone.keys.publicKey)]) {
          assert.throws(() => read(bytes), refusedAs('malformed'))
        }
      }),
    )
  })

  test('in another encoding, with more fields or too large are malformed', () => {
    const [body, signature] = decodeCbor(phone.certificate, open) as [Uint8Array, Uint8Array]
    const fields = decodeCbor(body, open) as unknown[]
    const sealed = (inner: Uint8Array) => {
      const label = concatBytes(utf8('silta identity v1 device certificate'), Uint8Array.of(0), inner)
      return encodeCbor([inner, crypto.sign(account.keys.privateKey, label)])
    }
    assert.ok(readCertificate(crypto, sealed(body)))
    for (const bytes of [
      encodeCbor([body, signature, 0]),
      encodeCbor([body]),
      encodeCbor([body, signature.subarray(1)]),
      sealed(encodeCbor([...fields, 'more'])),
      sealed(encodeCbor(fields.slice(0, -1))),
      sealed(encodeCbor(fields.with(3, 'owner'))),
      sealed(encodeCbor(fields.with(0, 'mimi://silta.example/r/AAAAAAAAAAAAAAAAAAAAAA'))),
      sealed(encodeCbor(fields.with(4, now + 2 * year))),
      sealed(encodeCbor(fields.with(5, 2 ** 40))),
      sealed(concatBytes(Uint8Array.of(0x98, 6), body.subarray(1))),
      sealed(concatBytes(body, Uint8Array.of(0))),
      concatBytes(phone.certificate, new Uint8Array(1024)),
    ]) {
      assert.throws(() => readCertificate(crypto, bytes), refusedAs('malformed'))
    }
  })
})

describe('a manifest', () => {
  const list = (change: Partial<Manifest>): Manifest => ({
    account: account.address,
    number: 1,
    previous: new Uint8Array(),
    devices: [{ deviceKey: phone.keys.publicKey, kind: 'primary' }],
    notBefore: now,
    notAfter: now + 10,
    ...change,
  })
  const make = (change: Partial<Manifest>) => issueManifest(crypto, account.keys.privateKey, list(change))
  const devices = (count: number, kind: 'companion' | 'edge' = 'companion') =>
    Array.from({ length: count }, () => ({ deviceKey: crypto.randomBytes(32), kind }))

  test('holds up to its limit of devices and no more', () => {
    const full = make({ devices: devices(maxManifestDevices) })
    assert.equal(readManifest(crypto, full, account.keys.publicKey).devices.length, maxManifestDevices)
    assert.throws(() => make({ devices: devices(maxManifestDevices + 1) }), refusedAs('malformed'))
    assert.throws(() => make({ devices: [] }), refusedAs('malformed'))
  })

  test('is refused under another account key', () => {
    assert.throws(() => readManifest(crypto, manifest, edgeAccount.keys.publicKey), refusedAs('bad-signature'))
  })

  test('lists a device once, one primary, and edges only among themselves', () => {
    const [one] = devices(1)
    assert.throws(() => make({ devices: [one!, { ...one!, kind: 'primary' }] }), refusedAs('malformed'))
    const primaries = devices(2).map(({ deviceKey }) => ({ deviceKey, kind: 'primary' as const }))
    assert.throws(() => make({ devices: primaries }), refusedAs('kind-mismatch'))
    assert.throws(() => make({ devices: [...devices(1), ...devices(1, 'edge')] }), refusedAs('kind-mismatch'))
    assert.ok(make({ devices: devices(2, 'edge') }))
  })

  test('names its predecessor by hash, and the first has none', () => {
    assert.throws(() => make({ previous: new Uint8Array(32) }), refusedAs('malformed'))
    assert.throws(() => make({ number: 2 }), refusedAs('malformed'))
    assert.throws(() => make({ number: 0 }), refusedAs('malformed'))
    assert.throws(() => make({ number: 2, previous: new Uint8Array(31) }), refusedAs('malformed'))
  })

  test('of more than 14 days is refused', () => {
    const days = 24 * 3600
    const longest = make({ notAfter: now + 14 * days })
    assert.ok(readManifest(crypto, longest, account.keys.publicKey))
    const longer = make({ notAfter: now + 14 * days + 1 })
    assert.throws(() => readManifest(crypto, longer, account.keys.publicKey), refusedAs('malformed'))
  })

  test('takes the place of an older one only, and only by following it', () => {
    const hash = manifestHash(crypto, manifest)
    const current = { number: 5, hash }
    const next = (number: number, previous: Uint8Array = new Uint8Array(32), own: Uint8Array = new Uint8Array(32)) => ({
      manifest: list({ number, previous }),
      hash: own,
    })
    assert.equal(acceptManifest(undefined, next(7)), 'newer')
    assert.equal(acceptManifest(current, next(5, hash, hash)), 'same')
    assert.equal(acceptManifest(current, next(6, hash)), 'newer')
    assert.equal(acceptManifest(current, next(8)), 'newer')
    assert.throws(() => acceptManifest(current, next(4)), refusedAs('older'))
    assert.throws(() => acceptManifest(current, next(5)), refusedAs('conflict'))
    assert.throws(() => acceptManifest(current, next(6)), refusedAs('conflict'))
  })
})

const readers = [
  (bytes: Uint8Array) => readCertificate(crypto, bytes),
  (bytes: Uint8Array) => readEndorsement(crypto, bytes, [provider.keys.publicKey]),
  (bytes: Uint8Array) => readManifest(crypto, bytes, account.keys.publicKey),
]
