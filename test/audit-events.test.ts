// Every event that an entry of the compliance log can be: what causes it, and the entry that is found then.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { openAdmissions } from '../src/audit/admissions.ts'
import { noteConfiguration } from '../src/audit/configuration.ts'
import { addAuditor, openCredentials, readAuditors, revokeAuditor, watchAuditors } from '../src/audit/credentials.ts'
import { type Event, entrySchema, eventTypes } from '../src/audit/event-schema.ts'
import { openInterop } from '../src/audit/interop.ts'
import { noteSigner } from '../src/audit/log/index.ts'
import { noteLogKeys } from '../src/audit/log-keys.ts'
import { openSubjects } from '../src/audit/open.ts'
import { openParity } from '../src/audit/parity.ts'
import { openPublishedFiles } from '../src/audit/published.ts'
import { openRefusals } from '../src/audit/refusals.ts'
import { openMapping } from '../src/audit/subjects/mapping.ts'
import { testSigner } from '../src/audit/testing/log.ts'
import { testSequencer } from '../src/audit/testing/world.ts'
import { toBase64Url } from '../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { hubErrorCodes } from '../src/hub/errors.ts'
import { openGuest } from '../src/hub/testing/guest.ts'
import { openWorld, type World } from '../src/hub/testing/world.ts'
import type { Database } from '../src/store/index.ts'
import { freshDatabase } from '../src/store/testing.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-events-'))
after(() => rmSync(home, { recursive: true, force: true }))
const day = 24 * 3_600_000
let folders = 0
const newPath = () => join(home, String(++folders))

/** What a driver acts on: a hub that writes into a real log. */
interface Scene extends Awaited<ReturnType<typeof openSubjects>> {
  readonly world: World
  readonly database: Database
}
type Driver = (scene: Scene) => Promise<unknown>

const onFault = (error: unknown) => assert.fail(String(error))
const preferences = async ({ world }: Scene, ...changes: object[]) => {
  const { asker } = await world.device()
  for (const change of changes) await world.hub.putPreferences(asker, { reachable: [], unreachable: [], ...change })
}
const withEdge = async ({ world }: Scene) => {
  const [alice, edge] = [await world.device(), await world.device('edge')]
  await world.hub.putPreferences(alice.asker, { reachable: ['matrix'], unreachable: [] })
  return { alice, room: await alice.create('direct', edge.account) }
}
const withLinked = async ({ world }: Scene) => {
  const alice = await world.device()
  return { alice, tablet: await alice.account.link() }
}
const withGuest = async ({ world }: Scene) => {
  const host = await world.device()
  const invite = toBase64Url(crypto.randomBytes(16))
  const none = new Uint8Array()
  const put = { invite, pin: none, approval: false, singleUse: true, expiresInMs: 0, idleMs: 0, replaces: '' }
  await world.hub.putInvite(host.asker, { ...put, shown: Uint8Array.of(1) })
  const keys = crypto.generateKeyPair()
  const introduction = Uint8Array.of(7)
  const entry = await world.hub.enterInvite({ invite, pin: none, accountKey: keys.publicKey, introduction })
  const guest = await openGuest(world, invite, entry, keys)
  await world.hub.createGuestRoom(guest.creation)
  return { host, invite }
}
const withAuditors = async ({ database, audit }: Scene, change: (file: string, id: string) => unknown) => {
  const file = newPath()
  const { auditor } = addAuditor(crypto, file, { forMs: day })
  for (const act of [() => undefined, change]) {
    act(file, auditor.id)
    const admissions = await openAdmissions({ database, crypto, audit, auditors: () => readAuditors(file), onFault })
    await admissions.close()
  }
}
const erased = async (scene: Scene) => {
  const { account } = await scene.world.device()
  await scene.database.transaction((tx) => scene.erasure.begin(tx, account.address))
  await scene.erasure.finish()
}

const mapped = async ({ world, database, audit, pseudonyms }: Scene) => {
  const { account } = await world.device()
  const file = newPath()
  const [one, two] = [1, 2].map(() => addAuditor(crypto, file, { forMs: day, scopes: ['resolve'] }).credential)
  const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
  const mapping = openMapping({ database, crypto, pseudonyms, credentials, audit })
  await mapping.request(account.address, one!)
  await mapping.approve(account.address, two!)
}

const asked = async ({ database, audit }: Scene) => {
  const interop = openInterop({ database, crypto, record: audit.record })
  const answer = await interop.received('rival.example', Date.now())
  assert.ok(typeof answer === 'object')
  await interop.answered(answer.request, 'refused', 'not-reasonable')
}

const turnOfYear = async ({ world, database, audit }: Scene) => {
  await world.device()
  const signersOf = (origin: string) => [noteSigner(crypto, origin, crypto.sha256())]
  const folder = newPath()
  const filesOf = (label: string) => openPublishedFiles(join(folder, label))
  for (const year of [0, 1]) {
    const years = { signersOf, filesOf, clock: () => Date.now() + year * 366 * day }
    const { sequencer } = testSequencer(database, folder, { years, audit })
    await sequencer.close()
  }
}

const drivers: Readonly<Record<Event['type'], Driver>> = {
  'account.created': ({ world }) => world.device(),
  'account.endorsed': async ({ world }) => {
    const token = world.token()
    const { publicKey } = crypto.generateKeyPair()
    await world.hub.createAccount(token, publicKey)
    world.clock.now += 60 * day
    await world.hub.createAccount(token, publicKey)
  },
  'manifest.published': ({ world }) => world.device(),
  'device.linked': withLinked,
  'device.unlinked': async (scene) => {
    const { alice, tablet } = await withLinked(scene)
    await alice.account.unlink(tablet)
  },
  'first-contact.changed': (scene) => preferences(scene, { firstContact: 'nobody' }),
  'network.opted-in': (scene) => preferences(scene, { reachable: ['matrix'] }),
  'network.opted-out': (scene) => preferences(scene, { reachable: ['matrix'] }, { unreachable: ['matrix'] }),
  'room.removal-proposed': async (scene) => {
    const { alice, room } = await withEdge(scene)
    await alice.receive()
    const tablet = await alice.account.link()
    await tablet.join(room)
    await alice.receive()
    await alice.account.unlink(tablet)
    await assert.rejects(alice.send(room, 'hello'))
  },
  'room.posture-changed': withEdge,
  'refusals.counted': async ({ database, audit }) => {
    const refusals = openRefusals({ database, audit, onFault })
    refusals.refused('submitMessage', 'blocked', 'matrix')
    await refusals.close()
  },
  'parity.measured': async ({ database, audit }) => {
    const parity = openParity({ database, audit, onFault })
    for (let ms = 1; ms <= 1000; ms++) parity.delivered('own', ms)
    parity.accepted('matrix')
    parity.refused('matrix', 'rate-limited')
    await parity.close()
  },
  'expiry.carried-out': async (scene) => {
    const { alice, room } = await withEdge(scene)
    await alice.receive()
    await alice.send(room, 'too late')
    scene.world.clock.now += 400 * day
    await scene.world.hub.clean()
  },
  'guest.ended': async (scene) => {
    const { host, invite } = await withGuest(scene)
    await scene.world.hub.revokeInvite(host.asker, invite, false)
  },
  'report.made': async (scene) => {
    const { host } = await withGuest(scene)
    const [room] = await scene.world.hub.listRooms(host.asker)
    const [chat] = (await scene.world.hub.listInvites(host.asker)).flatMap(({ chats }) => chats)
    await scene.world.hub.report(host.asker, { room: room!.room, account: chat!.account, reason: 'spam' })
  },
  'auditor.admitted': (scene) => withAuditors(scene, () => undefined),
  'auditor.removed': (scene) => withAuditors(scene, revokeAuditor),
  'configuration.applied': ({ database, audit }) =>
    noteConfiguration({ database, audit, crypto, key: crypto.sha256() }, new Map([['limits.connections', 7]])),
  'log.keys-changed': (scene) => noteLogKeys(scene, testSigner.verifier.name, () => [testSigner]),
  'log.closed': turnOfYear,
  'log.opened': turnOfYear,
  'subject.erasure-begun': erased,
  'subject.erased': erased,
  'interop.requested': asked,
  'interop.answered': asked,
  'mapping.requested': mapped,
  'mapping.disclosed': mapped,
  'log.taken-up': async ({ world, database }) => {
    const folder = newPath()
    await world.device()
    await testSequencer(database, folder).sequencer.close()
    // As from a backup of before.
    await database.query('delete from audit.entry')
    await database.query('delete from audit.log')
    await testSequencer(database, folder).sequencer.close()
  },
}

const typesIn = (entries: readonly Event[]) => entries.map(({ type }) => type)

describe('every event of the compliance log', () => {
  test('has something that causes it', () => {
    assert.deepEqual(Object.keys(drivers).sort(), [...eventTypes].sort())
  })

  test('and every code of a refusal is in the documentation', () => {
    const documentation = readFileSync(join(import.meta.dirname, '../docs/audit-events.md'), 'utf8')
    for (const name of [...eventTypes, ...hubErrorCodes]) assert.ok(documentation.includes(`\`${name}\``), name)
  })

  for (const type of eventTypes)
    test(`${type}, with its action`, async () => {
      await using database = await freshDatabase()
      const options = { database, crypto, pseudonymKey: crypto.sha256(), subjectKeysFile: newPath() }
      const subjects = await openSubjects({ ...options, networks: ['matrix'] })
      const world = openWorld(database, {}, subjects.audit)
      await drivers[type]({ ...subjects, world, database })
      await world[Symbol.asyncDispose]()
      const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
      const texts = rows.map(({ body }) => Buffer.from(body).toString())
      const entries = texts.map((text) => entrySchema.parse(JSON.parse(text)) as unknown as Event)
      assert.ok(typesIn(entries).includes(type), `no ${type} among ${typesIn(entries).join(', ')}`)
      // Nobody's address, and no name of a conversation or a token.
      assert.doesNotMatch(texts.join('\n'), /mimi:|hub\.example|issuer#/)
    })
})

test('figures of parity stand side by side, as quantiles', async () => {
  await using database = await freshDatabase()
  const options = { database, crypto, pseudonymKey: crypto.sha256(), subjectKeysFile: newPath() }
  const { audit } = await openSubjects({ ...options, networks: ['matrix'] })
  const parity = openParity({ database, audit, onFault })
  for (let ms = 1; ms <= 1000; ms++) parity.delivered('own', ms)
  parity.delivered('matrix', undefined)
  parity.delivered('unheard-of', 5)
  parity.refused('matrix', 'rate-limited')
  await parity.close()
  const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
  const [own, matrix, other] = rows.map(({ body }) => JSON.parse(Buffer.from(body).toString()))
  assert.deepEqual([own.provider, own.delivered, own.latency.measured], ['own', 1000, 1000])
  // Told to an eighth.
  for (const [name, exact] of Object.entries({ p50: 500, p90: 900, p99: 990 }))
    assert.ok(own.latency[name] >= exact && own.latency[name] <= exact * 1.125 + 1, `${name} ${own.latency[name]}`)
  assert.deepEqual(
    [matrix.delivered, matrix.latency, matrix.refused],
    [1, undefined, [{ code: 'rate-limited', count: 1 }]],
  )
  assert.equal(other.provider, 'other')
})
