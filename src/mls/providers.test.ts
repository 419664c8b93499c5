// Both providers have to be the same to everyone else: what one makes, the other reads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '../crypto/index.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { webMlsProvider } from './provider-web.ts'
import type { SuiteName } from './suite.ts'

const node = nodeMlsProvider().suite
const web = webMlsProvider().suite
const pairs = [
  ['node → web', node, web],
  ['web → node', web, node],
] as const

for (const [name, from, to] of pairs) {
  test(`${name}: HPKE, its exporter, key derivation, AEAD, signatures`, async () => {
    const ikm = from.rng.randomBytes(32)
    const mine = await from.hpke.deriveKeyPair(ikm)
    const theirs = await to.hpke.deriveKeyPair(ikm)
    const privateKey = await to.hpke.importPrivateKey(await from.hpke.exportPrivateKey(mine.privateKey))
    assert.deepEqual(await from.hpke.exportPublicKey(mine.publicKey), await to.hpke.exportPublicKey(theirs.publicKey))
    const { enc, ct } = await from.hpke.seal(mine.publicKey, utf8('plain'), utf8('info'), utf8('aad'))
    assert.deepEqual(await to.hpke.open(privateKey, enc, ct, utf8('info'), utf8('aad')), utf8('plain'))
    await assert.rejects(to.hpke.open(privateKey, enc, ct, utf8('other'), utf8('aad')))
    await assert.rejects(to.hpke.open(privateKey, enc, ct.slice(0, 15), utf8('info'), utf8('aad')))
    const exported = await from.hpke.exportSecret(mine.publicKey, utf8('context'), 32, utf8('info'))
    const imported = await to.hpke.importSecret(privateKey, utf8('context'), exported.enc, 32, utf8('info'))
    assert.deepEqual(imported, exported.secret)
    const key = from.rng.randomBytes(16)
    const nonce = from.rng.randomBytes(12)
    const sealed = await from.hpke.encryptAead(key, nonce, undefined, utf8('plain'))
    assert.deepEqual(await to.hpke.decryptAead(key, nonce, new Uint8Array(), sealed), utf8('plain'))
    const { publicKey, signKey } = await from.signature.keygen()
    const signature = await from.signature.sign(signKey, utf8('text'))
    assert.equal(await to.signature.verify(publicKey, utf8('text'), signature), true)
    assert.equal(await to.signature.verify(publicKey, utf8('other'), signature), false)
    assert.deepEqual(await from.kdf.expand(ikm, utf8('x'), 70), await to.kdf.expand(ikm, utf8('x'), 70))
    assert.deepEqual(await from.kdf.extract(new Uint8Array(), ikm), await to.kdf.extract(new Uint8Array(), ikm))
  })
}

test('HPKE refuses keys and encapsulations that are none', async () => {
  for (const { hpke } of [node, web]) {
    await assert.rejects(hpke.importPublicKey(new Uint8Array(31)))
    await assert.rejects(hpke.importPrivateKey(new Uint8Array(33)))
    const { privateKey } = await hpke.generateKeyPair()
    // a point of small order agrees on zero with everyone (RFC 9180 §7.1.4)
    await assert.rejects(hpke.open(privateKey, new Uint8Array(32), new Uint8Array(32), utf8('info')))
  }
})

const suites: SuiteName[] = [
  'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519',
  'MLS_128_DHKEMP256_AES128GCM_SHA256_P256',
  'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519',
  'MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448',
  'MLS_256_DHKEMP521_AES256GCM_SHA512_P521',
  'MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448',
  'MLS_256_DHKEMP384_AES256GCM_SHA384_P384',
]

for (const name of suites) {
  test(`over node, ${name}: keys are made, and what is sealed and signed with them is opened and verified`, async () => {
    const { hpke, signature } = nodeMlsProvider(name).suite
    const { publicKey, privateKey } = await hpke.generateKeyPair()
    const imported = await hpke.importPrivateKey(await hpke.exportPrivateKey(privateKey))
    const { enc, ct } = await hpke.seal(publicKey, utf8('plain'), utf8('info'))
    assert.deepEqual(await hpke.open(imported, enc, ct, utf8('info')), utf8('plain'))
    const keys = await signature.keygen()
    const made = await signature.sign(keys.signKey, utf8('text'))
    assert.equal(await signature.verify(keys.publicKey, utf8('text'), made), true)
    assert.equal(await signature.verify(keys.publicKey, utf8('texts'), made), false)
  })
}
