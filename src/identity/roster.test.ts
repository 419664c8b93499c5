import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  now,
  type TestAccount,
  type TestDevice,
  testAccount,
  testDevice,
  testManifest,
  testProvider,
} from '../../test/support/identities.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import {
  type AccountAddress,
  applyManifests,
  decodeRoster,
  emptyRoster,
  encodeRoster,
  IdentityError,
  joinRoster,
  manifestHash,
  mostRosterAccounts,
  parseAccountAddress,
  type Roster,
  type RosterCommit,
  type RosterEntry,
  type RosterLeaf,
  rosterDocuments,
  statedManifests,
  unlistedLeaves,
} from './index.ts'

const day = 24 * 3600
const provider = testProvider(crypto)
const ana = testAccount(crypto, provider)
const ben = testAccount(crypto, provider)
const phone = testDevice(crypto, ana)
const tablet = testDevice(crypto, ana, 'companion')
const benPhone = testDevice(crypto, ben)
const benTablet = testDevice(crypto, ben, 'companion')
const anaFirst = testManifest(crypto, ana, [phone, tablet])
const anaSecond = testManifest(crypto, ana, [phone], { number: 2, previous: anaFirst })
const benFirst = testManifest(crypto, ben, [benPhone])

const refusedAs = (code: string) => (error: unknown) => error instanceof IdentityError && error.code === code
const leaf = ({ account, keys, kind }: TestDevice): RosterLeaf => ({
  address: account.address,
  accountKey: account.keys.publicKey,
  deviceKey: keys.publicKey,
  deviceKind: kind,
})
const apply = (
  roster: Roster,
  commit: { before: TestDevice[]; after: TestDevice[] } & Partial<Omit<RosterCommit, 'before' | 'after'>>,
) =>
  applyManifests(crypto, roster, {
    added: commit.after.filter((device) => !commit.before.includes(device)).map(leaf),
    external: false,
    manifests: [],
    at: now,
    ...commit,
    before: commit.before.map(leaf),
    after: commit.after.map(leaf),
  })

/** Ana's phone made the room and added her tablet and Ben's phone with the first commit. */
const founded = apply(emptyRoster, {
  before: [phone],
  after: [phone, tablet, benPhone],
  manifests: [anaFirst, benFirst],
}).roster
const all = [phone, tablet, benPhone]

describe('the first commit', () => {
  test('puts the manifests of everybody in force', () => {
    assert.deepEqual(
      statedManifests(founded),
      new Map([
        [ana.address, { number: 1, hash: manifestHash(crypto, anaFirst) }],
        [ben.address, { number: 1, hash: manifestHash(crypto, benFirst) }],
      ]),
    )
  })

  test('is refused without a manifest of somebody who is in it, the author included', () => {
    for (const manifests of [[anaFirst], [benFirst], []]) {
      const run = () => apply(emptyRoster, { before: [phone], after: [phone, benPhone], manifests })
      assert.throws(run, refusedAs('no-manifest'))
    }
  })
})

describe('a device', () => {
  test('that the manifest in force does not list is refused', () => {
    const run = () => apply(founded, { before: all, after: [...all, benTablet] })
    assert.throws(run, refusedAs('not-in-manifest'))
  })

  test('that is new comes with the manifest that lists it', () => {
    const benSecond = testManifest(crypto, ben, [benPhone, benTablet], { number: 2, previous: benFirst })
    const { roster, announced } = apply(founded, { before: all, after: [...all, benTablet], manifests: [benSecond] })
    assert.deepEqual(announced, [ben.address])
    assert.equal(roster.get(ben.address)?.number, 2)
    assert.equal(founded.get(ben.address)?.number, 1)
  })

  test('that was unlinked goes in the commit that puts the new manifest in force', () => {
    const staying = () => apply(founded, { before: all, after: all, manifests: [anaSecond] })
    assert.throws(staying, refusedAs('not-in-manifest'))
    const { roster } = apply(founded, { before: all, after: [phone, benPhone], manifests: [anaSecond] })
    const { manifest } = roster.get(ana.address)!.inForce!
    assert.deepEqual(unlistedLeaves(manifest, all.map(leaf)), [leaf(tablet)])
    const back = () => apply(roster, { before: [phone, benPhone], after: all })
    assert.throws(back, refusedAs('not-in-manifest'))
  })

  test('does not come back by an older manifest', () => {
    const { roster } = apply(founded, { before: all, after: [phone, benPhone], manifests: [anaSecond] })
    const run = () => apply(roster, { before: [phone, benPhone], after: all, manifests: [anaFirst] })
    assert.throws(run, refusedAs('older'))
  })

  test('does not come back by an older manifest after its whole account had left', () => {
    const { roster: second } = apply(founded, { before: all, after: [phone, benPhone], manifests: [anaSecond] })
    const { roster } = apply(second, { before: [phone, benPhone], after: [benPhone] })
    assert.deepEqual(roster.get(ana.address), { number: 2, hash: manifestHash(crypto, anaSecond) })
    const again = (manifests: Uint8Array[]) => () =>
      apply(roster, { before: [benPhone], after: [phone, benPhone], manifests })
    assert.throws(again([anaFirst]), refusedAs('older'))
    assert.throws(again([]), refusedAs('no-manifest'))
    assert.equal(again([anaSecond])().roster.get(ana.address)?.number, 2)
  })

  test('does not come in by an update of another device’s leaf', () => {
    const benSecond = testManifest(crypto, ben, [benPhone, benTablet], { number: 2, previous: benFirst })
    const commit = { before: all, after: [phone, tablet, benTablet], added: [], manifests: [benSecond] }
    assert.throws(() => apply(founded, commit), refusedAs('not-a-member'))
    const eve = testAccount(crypto, provider)
    const turned = { ...benPhone, account: eve }
    const manifests = [testManifest(crypto, eve, [turned])]
    const other = { before: all, after: [phone, tablet, turned], added: [], manifests }
    assert.throws(() => apply(founded, other), refusedAs('not-a-member'))
  })

  test('has the kind that its manifest states, and one leaf', () => {
    const posing = { ...tablet, kind: 'primary' as const }
    const run = () => apply(founded, { before: all, after: [phone, posing, benPhone] })
    assert.throws(run, refusedAs('kind-mismatch'))
    assert.throws(() => apply(founded, { before: all, after: [...all, tablet] }), refusedAs('duplicate-device'))
  })
})

describe('a manifest in a commit', () => {
  const carry =
    (...manifests: Uint8Array[]) =>
    () =>
      apply(founded, { before: all, after: all, manifests })

  test('may be the one in force', () => {
    const { announced, roster } = carry(anaFirst, benFirst)()
    assert.deepEqual(announced, [])
    assert.deepEqual(statedManifests(roster), statedManifests(founded))
  })

  test('is refused when it conflicts with the one in force, or comes twice', () => {
    assert.throws(carry(testManifest(crypto, ana, [phone, tablet], { notAfter: now + day })), refusedAs('conflict'))
    assert.throws(carry(testManifest(crypto, ana, [phone, tablet], { number: 2 })), refusedAs('conflict'))
    assert.throws(carry(anaFirst, anaFirst), refusedAs('conflict'))
    assert.ok(carry(testManifest(crypto, ana, [phone, tablet], { number: 9 })))
  })

  test('is refused when it is forged, expired, not valid yet or of a stranger', () => {
    const forger: TestAccount = { ...ana, keys: ben.keys }
    const next = { number: 2, previous: anaFirst }
    assert.throws(carry(testManifest(crypto, forger, [phone, tablet], next)), refusedAs('bad-signature'))
    const old = testManifest(crypto, ana, [phone, tablet], { ...next, notAfter: now - 1 })
    assert.throws(carry(old), refusedAs('expired'))
    const early = testManifest(crypto, ana, [phone, tablet], { ...next, notBefore: now + 1 })
    assert.throws(carry(early), refusedAs('not-yet-valid'))
    const stranger = testAccount(crypto, provider)
    const unknown = testManifest(crypto, stranger, [testDevice(crypto, stranger)])
    assert.throws(carry(unknown), refusedAs('unknown-account'))
    assert.throws(carry(new Uint8Array(9)), refusedAs('malformed'))
  })

  test('is judged at the log’s time: after its validity nothing is added under it, though those inside go on', () => {
    const late = now + 20 * day
    const without = [phone, benPhone]
    const { roster } = apply(founded, { before: all, after: without, at: late })
    assert.throws(() => apply(roster, { before: without, after: all, at: late }), refusedAs('expired'))
    const renewed = testManifest(crypto, ana, [phone, tablet], {
      number: 2,
      previous: anaFirst,
      notBefore: late,
      notAfter: late + day,
    })
    assert.ok(apply(roster, { before: without, after: all, manifests: [renewed], at: late }))
  })
})

describe('an external commit', () => {
  test('brings a new device of a member', () => {
    const benSecond = testManifest(crypto, ben, [benPhone, benTablet], { number: 2, previous: benFirst })
    const commit = { before: all, after: [...all, benTablet], manifests: [benSecond], external: true }
    assert.equal(apply(founded, commit).roster.get(ben.address)?.number, 2)
  })

  test('replaces a leaf of the same device', () => {
    const commit = { before: all, after: all, added: [leaf(tablet)], external: true }
    assert.ok(apply(founded, commit))
  })

  // The hub has every GroupInfo and could hand it to anybody.
  test('of an account that is not in the group is refused', () => {
    const eve = testAccount(crypto, provider)
    const device = testDevice(crypto, eve)
    const manifests = [testManifest(crypto, eve, [device])]
    const commit = { before: all, after: [...all, device], manifests, external: true }
    assert.throws(() => apply(founded, commit), refusedAs('not-a-member'))
    assert.ok(apply(founded, { ...commit, external: false }))
  })

  test('under a new account key is refused, even in place of the account’s own last leaf', () => {
    const renewed: TestAccount = { ...ben, keys: crypto.generateKeyPair() }
    const device = testDevice(crypto, renewed)
    const manifests = [testManifest(crypto, renewed, [device], { number: 2, previous: benFirst })]
    const commit = { before: all, after: [phone, tablet, device], manifests, external: true }
    assert.throws(() => apply(founded, commit), refusedAs('not-a-member'))
  })
})

describe('a new account key', () => {
  const renewed: TestAccount = { ...ben, keys: crypto.generateKeyPair() }
  const device = testDevice(crypto, renewed)
  const manifests = [testManifest(crypto, renewed, [device], { number: 2, previous: benFirst })]

  test('takes the place of the old one in a member’s commit, and is told', () => {
    const { keyChanged } = apply(founded, { before: all, after: [phone, tablet, device], manifests })
    assert.deepEqual(keyChanged, [ben.address])
  })

  test('is refused beside the old one, and without a newer manifest under it', () => {
    const beside = () => apply(founded, { before: all, after: [...all, device], manifests })
    assert.throws(beside, refusedAs('key-mismatch'))
    const without = () => apply(founded, { before: all, after: [phone, tablet, device] })
    assert.throws(without, refusedAs('no-manifest'))
    const listed = { ...renewed, keys: renewed.keys }
    const same = testManifest(crypto, listed, [device])
    const replaced = () => apply(founded, { before: all, after: [phone, tablet, device], manifests: [same] })
    assert.throws(replaced, refusedAs('conflict'))
  })
})

describe('one who joins', () => {
  const leaves = all.map(leaf)

  test('has the same roster as those inside', () => {
    const { roster: emptied } = apply(founded, { before: all, after: [benPhone] })
    for (const [roster, members] of [
      [founded, leaves],
      [emptied, [leaf(benPhone)]],
    ] as const) {
      assert.deepEqual(joinRoster(crypto, statedManifests(roster), rosterDocuments(roster), members), roster)
    }
  })

  test('refuses documents that are missing, others than stated, or do not list a leaf', () => {
    const join =
      (stated: ReturnType<typeof statedManifests>, documents: Uint8Array[], members = leaves) =>
      () =>
        joinRoster(crypto, stated, documents, members)
    const stated = statedManifests(founded)
    assert.throws(join(stated, [anaFirst]), refusedAs('no-manifest'))
    assert.throws(join(new Map(), [anaFirst, benFirst]), refusedAs('no-manifest'))
    assert.throws(join(stated, [anaSecond, benFirst]), refusedAs('no-manifest'))
    assert.throws(join(stated, [anaFirst, benFirst], [...leaves, leaf(benTablet)]), refusedAs('not-in-manifest'))
    const wrongNumber = new Map(stated).set(ana.address, { number: 2, hash: manifestHash(crypto, anaFirst) })
    assert.throws(join(wrongNumber, [anaFirst, benFirst]), refusedAs('conflict'))
    const wrongAccount = new Map(stated).set(ana.address, { number: 1, hash: manifestHash(crypto, benFirst) })
    assert.throws(join(wrongAccount, [anaFirst, benFirst]), refusedAs('bad-signature'))
  })
})

test('a roster has room for all who ever were in a group', () => {
  const gone = Array.from({ length: mostRosterAccounts }, (_, i): [AccountAddress, RosterEntry] => [
    parseAccountAddress(`mimi://provider.example/u/${String(i).padStart(21, 'A')}A`),
    { number: 1, hash: new Uint8Array(32) },
  ])
  assert.equal(decodeRoster(encodeRoster(new Map([...gone, ...founded].slice(2)))).size, mostRosterAccounts)
})

test('a roster comes back from storage as it was', () => {
  const { roster } = apply(founded, { before: all, after: [benPhone] })
  for (const value of [emptyRoster, founded, roster]) assert.deepEqual(decodeRoster(encodeRoster(value)), value)
  assert.throws(() => decodeRoster(new Uint8Array(3)), refusedAs('malformed'))
})
