import { type Crypto, concatBytes, equalBytes, fromBase64Url, fromUtf8, toBase64Url, utf8 } from '../../crypto/index.ts'
import type { Psk } from '../../mls/index.ts'
import { ClientError } from '../errors.ts'

const version = 1
const secretLength = 32
/** Of SHA-256 over the account key: nobody finds a second key for 128 bits of it. */
const fingerprintLength = 16
const checkLength = 4
const fragmentLength = 1 + secretLength + fingerprintLength + 4 + checkLength
const inviteLength = 16

/** What a link says: the provider sees the id, the rest stands in the fragment, which browsers send to nobody. */
export interface InviteLink {
  invite: string
  secret: Uint8Array
  /** Of the host's account key. */
  fingerprint: Uint8Array
  /** The host's manifest when the link was made: none older is accepted. */
  manifest: number
}

export function newInviteId(crypto: Crypto): string {
  return toBase64Url(crypto.randomBytes(inviteLength))
}

export function newInviteSecret(crypto: Crypto): Uint8Array {
  return crypto.randomBytes(secretLength)
}

export function fingerprintOf(crypto: Crypto, accountKey: Uint8Array): Uint8Array {
  return crypto.sha256(accountKey).slice(0, fingerprintLength)
}

/** `base`: where the page is, https://host. */
export function encodeLink(crypto: Crypto, base: string, link: InviteLink): string {
  const manifest = new Uint8Array(4)
  new DataView(manifest.buffer).setUint32(0, link.manifest)
  const body = concatBytes(Uint8Array.of(version), link.secret, link.fingerprint, manifest)
  return `${base}/g/${link.invite}#${toBase64Url(concatBytes(body, checkOf(crypto, link.invite, body)))}`
}

/** Reads a link as it was pasted. Errors: bad-link (not a link, or not all of it). */
export function decodeLink(crypto: Crypto, text: string): InviteLink {
  const [, invite = '', fragment = ''] = /\/g\/([\w-]{22})\/?#([\w-]+)$/.exec(text.replaceAll(/\s/g, '')) ?? []
  try {
    const bytes = fromBase64Url(fragment)
    const body = bytes.subarray(0, fragmentLength - checkLength)
    const whole = bytes.length === fragmentLength && bytes[0] === version
    if (!whole || !equalBytes(bytes.subarray(body.length), checkOf(crypto, invite, body)))
      throw new ClientError('bad-link')
    const [fingerprintAt, manifestAt] = [1 + secretLength, 1 + secretLength + fingerprintLength]
    return {
      invite,
      secret: body.slice(1, fingerprintAt),
      fingerprint: body.slice(fingerprintAt, manifestAt),
      manifest: new DataView(body.buffer, body.byteOffset).getUint32(manifestAt),
    }
  } catch (cause) {
    throw cause instanceof ClientError ? cause : new ClientError('bad-link', undefined, { cause })
  }
}

/** A link that lost its end on the way is told from one that does not hold. */
function checkOf(crypto: Crypto, invite: string, body: Uint8Array): Uint8Array {
  return crypto.sha256(utf8(invite), body).slice(0, checkLength)
}

const none = new Uint8Array()

/** The pre-shared key of a link's chats (RFC 9420 §8.4): who has it has had the link. */
export function pskOf(crypto: Crypto, invite: string, secret: Uint8Array): Psk {
  return { id: utf8(`silta guest v1 ${invite}`), secret: crypto.hkdfSha256(secret, none, 'silta invite v1 psk', 32) }
}

/** What a PIN gives: the provider compares it, and without the secret cannot try PINs on it. */
export function pinCodeOf(crypto: Crypto, secret: Uint8Array, pin: string): Uint8Array {
  return crypto.hkdfSha256(secret, utf8(pin.normalize('NFKC').trim()), 'silta invite v1 pin', 32)
}

/** A name sealed under the link's secret. `of`: whose, so that one cannot be shown as the other. */
export function sealName(crypto: Crypto, link: Sealed, of: 'host' | 'guest', name: string | undefined): Uint8Array {
  return name ? crypto.seal(nameKey(crypto, link), utf8(name.slice(0, 64)), utf8(`${of} ${link.invite}`)) : none
}

/** Undefined: none was given, or not by somebody with the link. */
export function openName(crypto: Crypto, link: Sealed, of: 'host' | 'guest', sealed: Uint8Array): string | undefined {
  if (sealed.length === 0) return undefined
  try {
    return fromUtf8(crypto.open(nameKey(crypto, link), sealed, utf8(`${of} ${link.invite}`)))
  } catch {
    return undefined
  }
}

type Sealed = Pick<InviteLink, 'invite' | 'secret'>

function nameKey(crypto: Crypto, { secret }: Sealed): Uint8Array {
  return crypto.hkdfSha256(secret, none, 'silta invite v1 name', 32)
}
