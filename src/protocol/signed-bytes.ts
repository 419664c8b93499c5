import { concatBytes, utf8 } from '../crypto/index.ts'

/** What a device signs to authenticate: bound to this connection's challenge, this provider and this device. */
export function authenticationBytes(challenge: Uint8Array, provider: string, deviceId: string): Uint8Array {
  return concatBytes(utf8('silta messenger v1 authenticate\0'), challenge, sized(provider), sized(deviceId))
}

/** What an account key signs to claim an account: possession of the key, bound to this connection and this token. */
export function accountProofBytes(challenge: Uint8Array, accessToken: string): Uint8Array {
  return concatBytes(utf8('silta messenger v1 account\0'), challenge, utf8(accessToken))
}

/** What a guest's account key signs to ask for an account by a link. */
export function inviteProofBytes(challenge: Uint8Array, invite: string): Uint8Array {
  return concatBytes(utf8('silta messenger v1 invite\0'), challenge, utf8(invite))
}

function sized(text: string): Uint8Array {
  const bytes = utf8(text)
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes)
}
