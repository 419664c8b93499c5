import { decodeCbor } from '../../src/cbor/index.ts'
import type { Storage } from '../../src/client/index.ts'
import { decodeState } from '../../src/mls/index.ts'
import type { Canary } from './canaries.ts'

const limits = { bytes: 1 << 20, depth: 8, items: 1 << 16 }

/** What a device of the messenger may tell nobody: its keys, those of its KeyPackages, those of its groups' present epochs. */
export async function deviceSecrets(name: string, storage: Storage): Promise<Canary[]> {
  const secrets: Canary[] = []
  const keep = (what: string, value: unknown) => {
    if (value instanceof Uint8Array && value.length >= 16) secrets.push({ name: `${name}: ${what}`, value })
  }
  const read = (bytes: Uint8Array) => decodeCbor(bytes, limits) as Map<string, unknown>
  await storage.transaction(async (tx) => {
    const self = read((await tx.get('device', 'self'))!)
    keep('account key', self.get('accountPrivateKey'))
    keep('device key', self.get('devicePrivateKey'))
    for (const { value } of await tx.list('key-package')) keep('KeyPackage', read(value).get('privatePart'))
    for (const { key, value: group } of await tx.list('group')) {
      const state = decodeState({ group, ratchets: (await tx.get('ratchets', key))! }) as unknown as {
        keySchedule: Record<string, Uint8Array>
        signaturePrivateKey: Uint8Array
      }
      for (const [what, value] of Object.entries(state.keySchedule)) keep(`group's ${what}`, value)
      keep('signature key', state.signaturePrivateKey)
    }
  })
  return secrets
}
