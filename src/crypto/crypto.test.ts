import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { ed25519 } from '@noble/curves/ed25519.js'
import fc from '../../test/support/fast-check.ts'
import {
  type Crypto,
  CryptoError,
  concatBytes,
  equalBytes,
  fromBase64Url,
  fromUtf8,
  toBase64Url,
  toHex,
  utf8,
} from './index.ts'
import { nodeCrypto } from './node.ts'
import { webCrypto } from './web.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
const empty = new Uint8Array()
const bytes = (max = 200) => fc.uint8Array({ maxLength: max })

for (const [name, crypto] of [
  ['node', nodeCrypto],
  ['web', webCrypto],
] as [string, Crypto][]) {
  describe(`crypto over ${name}`, () => {
    test('SHA-256: FIPS 180-2 B.1, B.2 and the empty string, in one part or several', () => {
      assert.equal(toHex(crypto.sha256()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
      const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
      assert.equal(toHex(crypto.sha256(utf8('abc'))), abc)
      assert.equal(toHex(crypto.sha256(utf8('a'), empty, utf8('bc'))), abc)
      const two = utf8('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq')
      assert.equal(toHex(crypto.sha256(two)), '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1')
    })

    test('HMAC-SHA-256: RFC 4231 cases 1, 2 and 6', () => {
      const cases: [Uint8Array, Uint8Array, string][] = [
        [
          new Uint8Array(20).fill(0x0b),
          utf8('Hi There'),
          'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
        ],
        [
          utf8('Jefe'),
          utf8('what do ya want for nothing?'),
          '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
        ],
        [
          new Uint8Array(131).fill(0xaa),
          utf8('Test Using Larger Than Block-Size Key - Hash Key First'),
          '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
        ],
      ]
      for (const [key, data, expected] of cases) assert.equal(toHex(crypto.hmacSha256(key, data)), expected)
    })

    test('HKDF-SHA-256: RFC 5869 cases 1 and 3', () => {
      const secret = new Uint8Array(22).fill(0x0b)
      assert.equal(
        toHex(crypto.hkdfSha256(secret, hex('000102030405060708090a0b0c'), hex('f0f1f2f3f4f5f6f7f8f9'), 42)),
        '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
      )
      assert.equal(
        toHex(crypto.hkdfSha256(secret, empty, '', 42)),
        '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
      )
      assert.throws(() => crypto.hkdfSha256(secret, empty, '', 8161), isBadArgument)
      assert.throws(() => crypto.hkdfSha256(secret, empty, '', 0), isBadArgument)
    })

    test('Ed25519: RFC 8032 §7.1, tests 1, 2, 3 and SHA(abc)', () => {
      for (const [seed, key, message, signature] of rfc8032) {
        assert.equal(toHex(crypto.publicKeyOf(hex(seed))), key.replaceAll(/\s/g, ''))
        assert.equal(toHex(crypto.sign(hex(seed), hex(message))), signature.replaceAll(/\s/g, ''))
        assert.equal(crypto.verify(hex(key), hex(message), hex(signature)), true)
        assert.equal(crypto.verify(hex(key), concatBytes(hex(message), utf8('x')), hex(signature)), false)
      }
    })

    test('Ed25519: a key whose bytes were changed is another key', () => {
      const [one, other] = [crypto.generateKeyPair(), crypto.generateKeyPair()]
      const data = utf8('signed')
      const [privateKey, publicKey] = [one.privateKey.slice(), one.publicKey.slice()]
      const before = crypto.sign(privateKey, data)
      assert.equal(crypto.verify(publicKey, data, before), true)
      privateKey.set(other.privateKey)
      publicKey.set(other.publicKey)
      assert.equal(crypto.verify(publicKey, data, before), false)
      assert.equal(crypto.verify(publicKey, data, crypto.sign(privateKey, data)), true)
    })

    test('verify takes a key that lies in a Buffer, and leaves it as it was', () => {
      // Half of all keys have the sign bit set.
      for (let count = 0; count < 16; count++) {
        const { privateKey, publicKey } = crypto.generateKeyPair()
        const key = Buffer.from(publicKey)
        assert.equal(crypto.verify(key, utf8('m'), crypto.sign(privateKey, utf8('m'))), true)
        assert.deepEqual(new Uint8Array(key), publicKey)
      }
    })

    test('verify answers false to keys and signatures of any shape', () => {
      const pair = crypto.generateKeyPair()
      const signature = crypto.sign(pair.privateKey, utf8('m'))
      assert.equal(crypto.verify(pair.publicKey, utf8('m'), signature), true)
      assert.equal(crypto.verify(pair.publicKey, utf8('m'), signature.subarray(1)), false)
      assert.equal(crypto.verify(pair.publicKey.subarray(1), utf8('m'), signature), false)
      assert.equal(crypto.verify(empty, utf8('m'), empty), false)
      fc.assert(
        fc.property(bytes(40), bytes(70), (key, made) => crypto.verify(key, utf8('m'), made) === false),
        { numRuns: 50 },
      )
      assert.throws(() => crypto.sign(pair.privateKey.subarray(1), utf8('m')), isBadArgument)
    })

    test('AES-256-GCM: sealed bytes open again and only with the same key and associated data', () => {
      const key = crypto.randomBytes(32)
      fc.assert(
        fc.property(bytes(), bytes(), (plaintext, aad) => {
          const sealed = crypto.seal(key, plaintext, aad)
          assert.equal(sealed.length, plaintext.length + 28)
          assert.deepEqual(crypto.open(key, sealed, aad), plaintext)
        }),
        { numRuns: 50 },
      )
      const sealed = crypto.seal(key, utf8('hidden'), utf8('context'))
      assert.throws(() => crypto.open(crypto.randomBytes(32), sealed, utf8('context')), cannotOpen)
      assert.throws(() => crypto.open(key, sealed, utf8('other')), cannotOpen)
      for (const at of [0, 15, sealed.length - 1]) {
        const changed = sealed.slice()
        changed[at]! ^= 1
        assert.throws(() => crypto.open(key, changed, utf8('context')), cannotOpen)
      }
      assert.throws(() => crypto.open(key, sealed.subarray(0, 27), utf8('context')), cannotOpen)
      assert.throws(() => crypto.seal(key.subarray(1), empty, empty), isBadArgument)
      assert.notDeepEqual(crypto.seal(key, empty, empty), crypto.seal(key, empty, empty))
    })

    test('AES-256-GCM: the GCM specification, test case 16', () => {
      const key = hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308')
      const sealed = hex(`cafebabefacedbaddecaf888
        522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
        76fc6ece0f4e1768cddf8853bb2d551b`)
      const aad = hex('feedfacedeadbeeffeedfacedeadbeefabaddad2')
      const expected = hex(`d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39`)
      assert.deepEqual(crypto.open(key, sealed, aad), expected)
    })

    test('results are plain arrays with memory of their own', () => {
      const pair = crypto.generateKeyPair()
      for (const result of [
        crypto.randomBytes(5),
        crypto.sha256(),
        crypto.hmacSha256(empty, empty),
        crypto.hkdfSha256(empty, empty, '', 5),
        pair.publicKey,
        pair.privateKey,
        crypto.sign(pair.privateKey, empty),
        crypto.seal(pair.privateKey, empty, empty),
        crypto.open(pair.privateKey, crypto.seal(pair.privateKey, empty, empty), empty),
      ]) {
        assert.equal(Object.getPrototypeOf(result), Uint8Array.prototype)
      }
      assert.throws(() => crypto.randomBytes(65537), isBadArgument)
    })
  })
}

describe('both implementations agree', () => {
  test('on keys, signatures and sealed bytes of the other', () => {
    for (const [one, other] of [
      [nodeCrypto, webCrypto],
      [webCrypto, nodeCrypto],
    ] as const) {
      const pair = one.generateKeyPair()
      assert.deepEqual(other.publicKeyOf(pair.privateKey), pair.publicKey)
      assert.equal(other.verify(pair.publicKey, utf8('m'), one.sign(pair.privateKey, utf8('m'))), true)
      assert.deepEqual(other.open(pair.privateKey, one.seal(pair.privateKey, utf8('m'), empty), empty), utf8('m'))
    }
  })

  // A signature that one member accepts and another refuses splits their group.
  test('on signatures made to measure: torsion in the key or in R, small order, other encodings, S out of range', () => {
    const { Point } = ed25519
    const torsion = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
    const scalar = 123456789n
    const message = utf8('m')
    const honestKey = Point.BASE.multiply(scalar)
    const nonce = 987654321n
    const candidates: { label: string; key: Uint8Array; signature: Uint8Array }[] = []
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 8; j++) {
        const key = honestKey.add(torsion.multiplyUnsafe(BigInt(i)))
        const r = Point.BASE.multiply(nonce).add(torsion.multiplyUnsafe(BigInt(j)))
        candidates.push({ label: `mixed ${i} ${j}`, ...signed(key.toBytes(), r.toBytes(), scalar, nonce, message) })
        const small = torsion.multiplyUnsafe(BigInt(i)).toBytes()
        candidates.push({ label: `small ${i} ${j}`, ...signed(small, r.toBytes(), 0n, nonce, message) })
      }
    }
    for (const y of ['ed', 'ee', 'ef', 'f0', 'f1', 'f5', 'fb', 'fe', 'ff']) {
      for (const top of ['7f', 'ff']) {
        const key = hex(y + 'ff'.repeat(30) + top)
        candidates.push({
          label: `key ${y}…${top}`,
          ...signed(key, Point.BASE.multiply(nonce).toBytes(), 0n, nonce, message),
        })
        candidates.push({ label: `r ${y}…${top}`, ...signed(honestKey.toBytes(), key, scalar, 0n, message) })
      }
    }
    const good = signed(honestKey.toBytes(), Point.BASE.multiply(nonce).toBytes(), scalar, nonce, message)
    candidates.push({ label: 'honest', ...good })
    const late = good.signature.slice()
    late.set(little(fromLittle(good.signature.subarray(32)) + Point.Fn.ORDER), 32)
    candidates.push({ label: 'S + L', key: good.key, signature: late })

    const accepted: string[] = []
    for (const { label, key, signature } of candidates) {
      const answer = nodeCrypto.verify(key, message, signature)
      assert.equal(webCrypto.verify(key, message, signature), answer, label)
      if (answer) accepted.push(label)
    }
    assert.ok(accepted.includes('honest') && accepted.includes('mixed 0 0'))
    assert.ok(!accepted.some((label) => label.startsWith('small') || label.startsWith('key') || label === 'S + L'))
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (key, signature) => {
          assert.equal(webCrypto.verify(key, message, signature), nodeCrypto.verify(key, message, signature))
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('bytes', () => {
  test('base64url: RFC 4648 §10, round trips, and one text for one string of bytes', () => {
    assert.equal(toBase64Url(utf8('fooba')), 'Zm9vYmE')
    assert.equal(toBase64Url(hex('fbff')), '-_8')
    fc.assert(
      fc.property(bytes(), (value) => {
        assert.equal(toBase64Url(value), Buffer.from(value).toString('base64url'))
        assert.deepEqual(fromBase64Url(toBase64Url(value)), value)
      }),
    )
    for (const text of ['Z', 'Zg==', 'Zh', 'Zm9', 'Zm9v+', 'Zm 9v', 'Zm9vé', 'Zm9vY']) {
      assert.throws(() => fromBase64Url(text), isBadArgument, text)
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          return toBase64Url(fromBase64Url(text)) === text
        } catch (error) {
          return isBadArgument(error)
        }
      }),
    )
  })

  test('UTF-8 that is not valid is refused, a byte order mark kept', () => {
    assert.equal(fromUtf8(utf8('\ufeffå')), '\ufeffå')
    assert.throws(() => fromUtf8(hex('c328')), isBadArgument)
  })

  test('equality looks at every byte', () => {
    assert.equal(equalBytes(hex('0102'), hex('0102')), true)
    assert.equal(equalBytes(hex('0102'), hex('0103')), false)
    assert.equal(equalBytes(hex('0102'), hex('010200')), false)
  })
})

const rfc8032: [string, string, string, string][] = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    `e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b`,
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    `92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00`,
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    `6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a`,
  ],
  [
    '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    `dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704`,
  ],
]

/** A signature with chosen R, s = nonce + k·scalar. */
function signed(key: Uint8Array, r: Uint8Array, scalar: bigint, nonce: bigint, message: Uint8Array) {
  const k = fromLittle(createHash('sha512').update(r).update(key).update(message).digest())
  const s = (nonce + k * scalar) % ed25519.Point.Fn.ORDER
  return { key, signature: concatBytes(r, little(s)) }
}

function fromLittle(value: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(value).reverse().toString('hex')}`)
}

function little(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse())
}

function isBadArgument(error: unknown): boolean {
  return error instanceof CryptoError && error.code === 'bad-argument'
}

function cannotOpen(error: unknown): boolean {
  return error instanceof CryptoError && error.code === 'cannot-open'
}
