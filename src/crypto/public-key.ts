import { toHex } from './bytes.ts'

/** y of the points of order 1, 2, 4 and 8 (p is 2^255 - 19), little-endian as in RFC 8032 §5.1.2. */
const smallOrderY = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000', // 1, the neutral element
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // p - 1, order 2
  '0000000000000000000000000000000000000000000000000000000000000000', // 0, order 4
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', // order 8
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', // order 8
])

/**
 * Whether 32 bytes are a canonical encoding that is not of a point of small order. A small-order key makes one
 * signature valid for many messages; libraries disagree on both kinds, so both are refused before any of them is asked.
 * Whether the point is on the curve is left to the implementation.
 */
export function isUsablePublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false
  // Not slice(): a Buffer's shares its memory, and the caller's key would lose its sign.
  const y = new Uint8Array(publicKey)
  y[31]! &= 0x7f
  // y ≥ p: ed ff … ff 7f and the 18 values above it
  const canonical = !(y[31] === 0x7f && y[0]! >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff))
  return canonical && !smallOrderY.has(toHex(y))
}
