// One ordered log, to which members of both kinds write and which all of them read, and the hub where it can.
import assert from 'node:assert/strict'
import { toHex, utf8 } from '../../src/crypto/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import {
  type Extension,
  extensionTypes,
  externalSenderExtension,
  type MlsProvider,
  type Psk,
  requiredExtensionsExtension,
  roomExtension,
} from '../../src/mls/index.ts'
import {
  applyHandshake,
  checkGroupInfo,
  openPublicGroup,
  type PublicGroup,
  proposeRemoval,
  publicContextBytes,
  publicLeaves,
  publicPendingProposals,
} from '../../src/mls/public.ts'
import type { Committed, CommitWish, Party } from './party.ts'

const everyone = () => {}

export class MixedRoom {
  readonly members = new Set<Party>()
  /** KeyPackages are out for these. */
  readonly invited = new Map<string, Party>()
  readonly psks: Psk[] = []
  readonly #mls: MlsProvider
  readonly #hubKeys = nodeCrypto.generateKeyPair()
  #hub: PublicGroup | undefined
  #groupInfo: Uint8Array = new Uint8Array()
  pending = 0
  /** Members whose removal is proposed. */
  readonly leaving = new Set<Party>()
  /** Some pending proposals may exclude each other. */
  contested = false

  constructor(mls: MlsProvider) {
    this.#mls = mls
  }

  extensions(choice: number): Extension[] {
    const hub = externalSenderExtension(this.#hubKeys.publicKey, utf8('hub.example'))
    const required = requiredExtensionsExtension([extensionTypes.siltaRoom])
    return [
      [],
      [hub, required, roomExtension({ kind: 'self' })],
      [hub],
      [required, roomExtension({ kind: 'direct' }), hub],
    ][choice % 4]!
  }

  /** `followed`: all handshakes are public, so that the hub can follow. */
  async create(creator: Party, followed: boolean): Promise<void> {
    this.#groupInfo = await creator.create(utf8(`room of ${creator.name}`), this.extensions(1))
    if (followed) this.#hub = await openPublicGroup(this.#mls, this.#groupInfo, everyone)
    this.members.add(creator)
  }

  async psk(name: string): Promise<Psk> {
    const psk = { id: utf8(name), secret: nodeCrypto.randomBytes(32) }
    this.psks.push(psk)
    for (const party of [...this.members, ...this.invited.values()]) await party.learn(psk)
    return psk
  }

  async invite(party: Party): Promise<Uint8Array> {
    for (const psk of this.psks) await party.learn(psk)
    const keyPackage = await party.keyPackage()
    this.invited.set(party.name, party)
    return keyPackage
  }

  async say(author: Party, text: string): Promise<void> {
    const message = await author.send(utf8(text), utf8(`about ${text}`))
    const { ownIndex } = await author.state()
    for (const reader of this.members) {
      if (reader === author) continue
      const told = await reader.process(message)
      assert.equal(told.kind, 'application')
      assert.equal(toHex(told.plaintext!), toHex(utf8(text)))
      assert.equal(toHex(told.aad), toHex(utf8(`about ${text}`)))
      assert.equal(told.sender, ownIndex)
    }
  }

  async proposed(proposal: Uint8Array, author?: Party): Promise<void> {
    if (this.#hub) this.#hub = (await applyHandshake(this.#mls, this.#hub, proposal, everyone)).group
    for (const member of this.members)
      if (member !== author) assert.equal((await member.process(proposal)).kind, 'proposal')
    this.pending++
  }

  /** The hub proposes a removal, if it follows and the group still names it as an external sender. */
  async hubProposesRemoval(about: Party): Promise<boolean> {
    if (!this.#hub) return false
    const { ownIndex } = await about.state()
    let proposal: Uint8Array
    try {
      proposal = await proposeRemoval(this.#mls, this.#hub, ownIndex, 0, this.#hubKeys)
    } catch {
      return false
    }
    await this.proposed(proposal)
    return true
  }

  async commit(author: Party, wish: CommitWish): Promise<void> {
    await this.#accepted(author, await author.commit(wish), wish.aad)
  }

  async joinExternally(joiner: Party, psks: Psk[], aad: Uint8Array): Promise<void> {
    const wasMember = this.members.has(joiner)
    if (!wasMember) for (const psk of this.psks) await joiner.learn(psk)
    const committed = await joiner.joinExternally(this.#groupInfo, psks, aad)
    this.members.add(joiner)
    await this.#accepted(joiner, committed, aad)
  }

  async #accepted(author: Party, { commit, welcome, groupInfo }: Committed, aad: Uint8Array): Promise<void> {
    for (const member of [...this.members]) {
      if (member === author) continue
      const told = await member.process(commit)
      assert.equal(told.kind, 'commit')
      assert.equal(toHex(told.aad), toHex(aad))
      if (told.active === false) this.members.delete(member)
    }
    const { members } = await author.state()
    if (welcome !== undefined) {
      const present = new Set(await Promise.all([...this.members].map(async (each) => keyOf(await each.state()))))
      const added = members.filter(({ signatureKey }) => !present.has(signatureKey)).length
      let joined = 0
      for (const party of [...this.invited.values()]) {
        try {
          await party.join(welcome)
        } catch {
          continue // for someone else
        }
        this.invited.delete(party.name)
        this.members.add(party)
        joined++
      }
      assert.equal(joined, added, 'not all who were added could join')
    }
    this.#groupInfo = groupInfo
    this.pending = 0
    this.leaving.clear()
    this.contested = false
    if (this.#hub) {
      this.#hub = (await applyHandshake(this.#mls, this.#hub, commit, everyone)).group
      await checkGroupInfo(this.#mls, this.#hub, groupInfo)
    }
    await this.compare()
  }

  /** All agree on epoch, secrets, context and members. */
  async compare(): Promise<void> {
    const [first, ...others] = await Promise.all([...this.members].map((each) => each.state()))
    const { ownIndex: _, ...shared } = comparable(first!)
    for (const other of others) {
      const { ownIndex: __, ...theirs } = comparable(other)
      assert.deepEqual(theirs, shared)
    }
    assert.equal(first!.members.length, this.members.size)
    if (this.#hub) {
      assert.equal(toHex(publicContextBytes(this.#hub)), first!.context)
      const seen = publicLeaves(this.#hub).map(({ index, signatureKey }) => ({
        index,
        signatureKey: toHex(signatureKey),
      }))
      assert.deepEqual(seen, first!.members)
      assert.equal(publicPendingProposals(this.#hub).length, 0)
    }
  }
}

function comparable({ epoch, authenticator, secret, context, ownIndex, members }: Awaited<ReturnType<Party['state']>>) {
  return { epoch, authenticator, secret, context, ownIndex, members }
}

function keyOf({ ownIndex, members }: Awaited<ReturnType<Party['state']>>): string | undefined {
  return members.find(({ index }) => index === ownIndex)?.signatureKey
}
