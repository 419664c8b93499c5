import { encodeCbor } from '../cbor/index.ts'
import { type Crypto, toHex, utf8 } from '../crypto/index.ts'
import type { AccountAddress } from './address.ts'

const groups = 12

/**
 * What two people compare to know that nobody stands between them: 60 digits, twelve groups of five with a space
 * between, the same whichever side computes it. Over addresses and account keys, so that it stays when devices change
 * and is new when an account key is. With a Matrix user it verifies the edge that speaks for them.
 */
export function safetyNumber(
  crypto: Crypto,
  a: { address: AccountAddress; accountKey: Uint8Array },
  b: { address: AccountAddress; accountKey: Uint8Array },
): string {
  const sides = [a, b].map(({ address, accountKey }) => encodeCbor([address, accountKey]))
  sides.sort((one, other) => (toHex(one) < toHex(other) ? -1 : 1))
  const bytes = crypto.hkdfSha256(encodeCbor(sides), utf8('silta identity v1 safety number'), '', groups * 5)
  const digits = Array.from({ length: groups }, (_, i) => {
    // 40 bits for five digits: the remainder's bias is one in ten million
    const value = bytes.subarray(i * 5, i * 5 + 5).reduce((sum, byte) => sum * 256 + byte, 0)
    return String(value % 100_000).padStart(5, '0')
  })
  return digits.join(' ')
}
