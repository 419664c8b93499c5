import { openBus } from '../../bus/index.ts'
import { toBase64Url, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { AccountKind, DeviceKind, ProviderTrust } from '../../identity/index.ts'
import { nodeMlsProvider } from '../../mls/provider-node.ts'
import type { Database } from '../../store/index.ts'
import { type HubErrorCode, type HubSettings, openHub, type TokenClaims } from '../index.ts'
import { openAccount, type TestAccount } from './account.ts'
import type { TestDevice } from './device.ts'

/** For tests: a hub with a clock of its own, and real devices that make real handshakes. Only tests import this folder. */
export const provider = 'hub.example'
export const mls = nodeMlsProvider()

export type World = Awaited<ReturnType<typeof openWorld>>

export function openWorld(database: Database, settings: Partial<HubSettings> = {}) {
  const keyPair = crypto.generateKeyPair()
  const bus = openBus()
  const clock = { now: 1_800_000_000_000 }
  const counted: string[] = []
  const hub = openHub({
    database,
    bus,
    crypto,
    mls,
    provider,
    providerKeyPair: keyPair,
    subjectKey: crypto.randomBytes(32),
    clock: () => clock.now,
    settings,
    metrics: { count: (name, labels) => void counted.push(`${name} ${Object.values(labels ?? {}).join()}`.trim()) },
  })
  const trust: ProviderTrust = { providerKeys: (domain) => (domain === provider ? [keyPair.publicKey] : []) }
  let subjects = 0
  const world = {
    hub,
    bus,
    clock,
    trust,
    keyPair,
    database,
    /** Names of what was counted, for faults above all. */
    counted,
    token(kind: TokenClaims['kind'] = 'person', network = 'matrix'): TokenClaims {
      const edge = kind === 'edge' ? { operator: 'bridge.example', network } : {}
      return { subject: `issuer#${++subjects}`, kind, ...edge }
    },
    /** An account with one device, a manifest and KeyPackages. */
    async account(kind: AccountKind & TokenClaims['kind'] = 'person'): Promise<TestAccount> {
      return openAccount(world, world.token(kind))
    },
    async device(kind: AccountKind & TokenClaims['kind'] = 'person'): Promise<TestDevice> {
      return (await world.account(kind)).devices[0]!
    },
    async [Symbol.asyncDispose]() {
      await hub.close()
      await bus.close()
    },
  }
  return world
}

export const randomKey = () => crypto.randomBytes(16)
export const newRoom = () => `mimi://${provider}/r/${toBase64Url(crypto.randomBytes(16))}`
export const text = (words: string) => utf8(words)

/** For assert.rejects: a HubError of this code. */
export function refusal(code: HubErrorCode, more: Record<string, unknown> = {}) {
  return { name: 'HubError', code, ...more }
}

export const usualKind = (kind: AccountKind): DeviceKind => (kind === 'edge' || kind === 'guest' ? kind : 'primary')
