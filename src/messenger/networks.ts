import { isIPv4, isIPv6 } from 'node:net'
import { type Crypto, toBase64Url, utf8 } from '../crypto/index.ts'

/** How long one key stands for networks: limits begin anew with the next, so it is many times their length. */
const keyMs = 24 * 3600 * 1000
/** Enough that no two networks of a day meet. */
const nameBytes = 12

/**
 * Names of networks for counting: by an HMAC under a key that is in memory only and changes daily, so that what is counted
 * says nothing of where anybody is, to nobody and least of all later.
 */
export function openNetworks({ crypto, clock = Date.now }: { crypto: Crypto; clock?: () => number }) {
  let key = crypto.randomBytes(32)
  let until = clock() + keyMs
  return {
    /** The name of an address's network, IPv6 /64 or IPv4 /24. What is no address is a network of its own. */
    nameOf(address: string): string {
      if (clock() >= until) {
        key = crypto.randomBytes(32)
        until = clock() + keyMs
      }
      return toBase64Url(crypto.hmacSha256(key, utf8(prefixOf(address))).subarray(0, nameBytes))
    },
  }
}

/** An IPv6 address stands for its network of 64 bits, an IPv4 address for 24: whoever has one address there has more. */
function prefixOf(address: string): string {
  const host = addressIn(address)
  return isIPv4(host) ? host.split('.').slice(0, 3).join('.') : host
}

/** An IPv6 address as its network of 64 bits; an IPv4 address, in IPv6 clothes too, as itself. */
export function addressIn(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = new URL(`http://[${address.split('%', 1)[0]}]`).hostname.slice(1, -1).split('::')
  const groups = head.split(':').filter((group) => group !== '')
  if (tail !== undefined) {
    const after = tail.split(':').filter((group) => group !== '')
    // An IPv4 address in IPv6 clothes is one of its own (RFC 4291 §2.5.5.2).
    if (groups.length === 0 && after.length === 3 && after[0] === 'ffff') return embedded(after[1]!, after[2]!)
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  return groups.slice(0, 4).join(':')
}

function embedded(high: string, low: string): string {
  const bits = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return bits.flatMap((each) => [each >> 8, each & 0xff]).join('.')
}
