import type { CiphersuiteName } from 'ts-mls'
import { getCiphersuiteFromName } from 'ts-mls/crypto/ciphersuite.js'
import { toHex } from '../crypto/index.ts'

/** Npk of RFC 9180 §7.1, in bytes. */
const publicKeyLengths: Partial<Record<string, number>> = {
  'DHKEM-P256-HKDF-SHA256': 65,
  'DHKEM-P384-HKDF-SHA384': 97,
  'DHKEM-P521-HKDF-SHA512': 133,
  'DHKEM-X25519-HKDF-SHA256': 32,
  'DHKEM-X448-HKDF-SHA512': 56,
}

/** Every u below 2^255 of a point of order 1, 2, 4 or 8 on the curve or its twist (p is 2^255 - 19), little-endian as in RFC 7748 §5. */
const smallOrderU = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000', // 0
  '0100000000000000000000000000000000000000000000000000000000000000', // 1
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', // order 8
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157', // order 8
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // p - 1
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // p, again 0
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // p + 1, again 1
])
// Asked first: one key in 37 gets past it to be written as text, since every key of a tree is looked at for each commit
const smallOrderFirstBytes = new Set([...smallOrderU].map((u) => Number.parseInt(u.slice(0, 2), 16)))

/**
 * Whether anybody can encrypt to this HPKE public key: it has the length of the suite's KEM, and for X25519 it is not of
 * small order. With one that is, the shared secret is all zero, and senders have to refuse (RFC 9180 §7.1.4, RFC 7748
 * §6.1). In a tree such a key would make every commit fail that has to encrypt to it, so it must not get in. On the
 * curves of NIST whether the point is on them is left to the implementation; no room of ours has such a suite.
 */
export function isUsableHpkeKey(suite: CiphersuiteName, publicKey: Uint8Array): boolean {
  const { kem } = getCiphersuiteFromName(suite).hpke
  if (publicKey.length !== publicKeyLengths[kem]) return false
  if (kem !== 'DHKEM-X25519-HKDF-SHA256' || !smallOrderFirstBytes.has(publicKey[0]!)) return true
  // Not slice(): a Buffer's shares its memory. X25519 ignores the highest bit.
  const u = new Uint8Array(publicKey)
  u[31]! &= 0x7f
  return !smallOrderU.has(toHex(u))
}
