import type { Audit, AuditEvent } from '../../audit/index.ts'
import { openBus } from '../../bus/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { AccountKind, ProviderTrust } from '../../identity/index.ts'
import type { Database } from '../../store/index.ts'
import { type HubSettings, openHub, type TokenClaims } from '../index.ts'
import { openAccount, type TestAccount, type TestDevice } from './account.ts'
import { mls, provider } from './values.ts'

/** For tests: a hub with a clock of its own, and real devices that make real handshakes. Only tests import this folder. */
export type World = Awaited<ReturnType<typeof openWorld>>

/** @param audit where it is taken down; by default only remembered */
export function openWorld(database: Database, settings: Partial<HubSettings> = {}, audit?: Audit) {
  const keyPair = crypto.generateKeyPair()
  const bus = openBus()
  const clock = { now: 1_800_000_000_000 }
  const counted: string[] = []
  const faults: { error: unknown; where: string }[] = []
  const audited: AuditEvent[] = []
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
    audit: audit ?? { append: async (tx, event) => tx.afterCommit(() => void audited.push(event)) },
    onFault: (error, where) => void faults.push({ error, where }),
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
    /** What the hub has told of its own faults. */
    faults,
    /** What was taken down for the compliance log, and committed. */
    audited,
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
