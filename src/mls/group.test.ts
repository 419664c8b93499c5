import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '../crypto/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import {
  createCommit,
  createGroup,
  decodeState,
  encodeState,
  encryptMessage,
  epochAuthenticator,
  epochOf,
  type GroupState,
  generateKeyPackage,
  joinByWelcome,
  joinExternally,
  leavesOf,
  processMessage,
} from './index.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { webMlsProvider } from './provider-web.ts'
import {
  applyHandshake,
  checkGroupInfo,
  decodePublicGroup,
  encodePublicGroup,
  externalSenderExtension,
  openPublicGroup,
  proposeRemoval,
  publicLeaves,
  roomExtension,
} from './public.ts'

const providers = { node: nodeMlsProvider(), web: webMlsProvider() }
const everyone = () => {}

function device(name: string) {
  return { identity: utf8(name), keyPair: nodeCrypto.generateKeyPair(), notBefore: 0, notAfter: 4_000_000_000 }
}

function restored(state: GroupState): GroupState {
  return decodeState(encodeState(state))
}

for (const [name, mls] of Object.entries(providers)) {
  test(`over ${name}: create, add, write, join from outside, remove, and the hub follows`, async () => {
    const hub = nodeCrypto.generateKeyPair()
    const [ada, ben, cleo] = [device('ada'), device('ben'), device('cleo')]
    let a = await createGroup(mls, {
      groupId: utf8('room'),
      ...ada,
      extensions: [externalSenderExtension(hub.publicKey, utf8('hub.example')), roomExtension({ kind: 'direct' })],
    })
    const first = await generateKeyPackage(mls, ben)
    const added = await createCommit(mls, a, { add: [first.publicPart], aad: utf8('manifest') })
    const before = await createCommit(mls, a, {}).then((other) => other.groupInfo)
    assert.ok(before.length > 0)
    a = restored(added.state)
    const joined = await joinByWelcome(mls, {
      welcome: added.welcome!,
      keyPackages: [await generateKeyPackage(mls, ben), first],
      authenticate: everyone,
    })
    assert.deepEqual(joined.usedReference, first.reference)
    let b = restored(joined.state)
    assert.deepEqual(epochAuthenticator(a), epochAuthenticator(b))

    let group = await openPublicGroup(mls, added.groupInfo, everyone)
    const sent = await encryptMessage(mls, b, utf8('moi'), utf8('aad'))
    b = sent.state
    const got = await processMessage(mls, a, sent.message, { authenticate: everyone })
    assert.equal(got.kind, 'application')
    if (got.kind !== 'application') return
    assert.deepEqual([got.plaintext, got.aad, got.sender.identity], [utf8('moi'), utf8('aad'), utf8('ben')])
    a = restored(got.state)

    const outside = await joinExternally(mls, { groupInfo: added.groupInfo, ...cleo, authenticate: everyone })
    const seen = await applyHandshake(mls, group, outside.commit, everyone)
    assert.equal(seen.kind, 'commit')
    group = decodePublicGroup(encodePublicGroup(seen.group))
    await checkGroupInfo(mls, group, outside.groupInfo)
    let c = restored(outside.state)
    for (const [state, adopt] of [
      [a, (s: GroupState) => (a = s)],
      [b, (s: GroupState) => (b = s)],
    ] as const) {
      const processed = await processMessage(mls, state, outside.commit, { authenticate: everyone })
      assert.equal(processed.kind === 'commit' && processed.external, true)
      adopt(restored(processed.state))
    }
    assert.deepEqual(epochAuthenticator(a), epochAuthenticator(c))
    assert.deepEqual(leavesOf(c), publicLeaves(group))

    const removal = await proposeRemoval(mls, group, 1, 0, hub)
    group = (await applyHandshake(mls, group, removal, everyone)).group
    a = (await processMessage(mls, a, removal, { authenticate: everyone })).state
    b = (await processMessage(mls, b, removal, { authenticate: everyone })).state
    c = (await processMessage(mls, c, removal, { authenticate: everyone })).state
    await assert.rejects(encryptMessage(mls, a, utf8('no')), { code: 'pending-proposals' })
    const removed = await createCommit(mls, a)
    const told = await processMessage(mls, b, removed.commit, { authenticate: everyone })
    assert.equal(told.kind === 'commit' && told.selfRemoved, true)
    c = (await processMessage(mls, c, removed.commit, { authenticate: everyone })).state
    const applied = await applyHandshake(mls, group, removed.commit, everyone)
    await checkGroupInfo(mls, applied.group, removed.groupInfo)
    assert.equal(epochOf(c), 3n)
    assert.deepEqual(epochAuthenticator(c), epochAuthenticator(removed.state))
  })
}
