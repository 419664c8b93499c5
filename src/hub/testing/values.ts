import { toBase64Url, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { AccountKind, DeviceKind } from '../../identity/index.ts'
import { nodeMlsProvider } from '../../mls/provider-node.ts'
import type { HubErrorCode } from '../index.ts'

export const provider = 'hub.example'
export const mls = nodeMlsProvider()
export const randomKey = () => crypto.randomBytes(16)
export const newRoom = (domain = provider) => `mimi://${domain}/r/${toBase64Url(crypto.randomBytes(16))}`
export const text = (words: string) => utf8(words)

/** For assert.rejects: a HubError of this code. */
export function refusal(code: HubErrorCode, more: Record<string, unknown> = {}) {
  return { name: 'HubError', code, ...more }
}

export const usualKind = (kind: AccountKind): DeviceKind => (kind === 'edge' || kind === 'guest' ? kind : 'primary')
