// A member of a mixed group: by this project's code or by OpenMLS, with one interface.
import { encode } from 'ts-mls/codec/tlsEncoder.js'
import { varLenTypeEncoder } from 'ts-mls/codec/variableLength.js'
import { extensionEncoder } from 'ts-mls/extension.js'
import { toHex, utf8 } from '../../src/crypto/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import type { Extension, GroupState, MlsProvider, ProposalOptions, Psk } from '../../src/mls/index.ts'
import * as mlsDoor from '../../src/mls/index.ts'
import type { Fields, OpenMlsProcess } from './openmls-process.ts'

export interface CommitWish {
  add: Uint8Array[]
  remove: number[]
  psks: Psk[]
  extensions: Extension[] | undefined
  update: boolean
  aad: Uint8Array
}

export interface Committed {
  commit: Uint8Array
  welcome?: Uint8Array
  groupInfo: Uint8Array
}

export type ProposalWish = ProposalOptions | { update: true }

export interface Told {
  kind: 'application' | 'proposal' | 'commit'
  aad: Uint8Array
  /** Leaf of a member. */
  sender: number | undefined
  plaintext?: Uint8Array
  /** After a commit: still a member. */
  active?: boolean
}

export interface PartyState {
  epoch: number
  authenticator: string
  secret: string
  context: string
  ownIndex: number
  members: { index: number; signatureKey: string }[]
}

export interface Party {
  name: string
  kind: 'silta' | 'openmls'
  keyPackage(): Promise<Uint8Array>
  create(groupId: Uint8Array, extensions: Extension[]): Promise<Uint8Array>
  join(welcome: Uint8Array): Promise<void>
  joinExternally(groupInfo: Uint8Array, psks: Psk[], aad: Uint8Array): Promise<Committed>
  learn(psk: Psk): Promise<void>
  commit(wish: CommitWish): Promise<Committed>
  propose(wish: ProposalWish): Promise<Uint8Array>
  process(message: Uint8Array): Promise<Told>
  send(plaintext: Uint8Array, aad: Uint8Array): Promise<Uint8Array>
  state(): Promise<PartyState>
}

export function siltaParty(mls: MlsProvider, name: string): Party {
  const identity = utf8(name)
  const keyPair = nodeCrypto.generateKeyPair()
  const authenticate = () => {}
  const psks: Psk[] = []
  let offered: mlsDoor.StoredKeyPackage | undefined
  let current: GroupState | undefined
  const state = () => {
    if (current === undefined) throw new Error('not in a group')
    return current
  }
  // through storage after every step, as in the product
  const adopt = (next: GroupState) => {
    current = mlsDoor.decodeState(mlsDoor.encodeState(next))
  }
  return {
    name,
    kind: 'silta',
    async keyPackage() {
      offered = await mlsDoor.generateKeyPackage(mls, { identity, keyPair, notBefore: 0, notAfter: 4_000_000_000 })
      return offered.publicPart
    },
    async create(groupId, extensions) {
      adopt(await mlsDoor.createGroup(mls, { groupId, identity, keyPair, extensions }))
      return mlsDoor.groupInfoOf(mls, state())
    },
    async join(welcome) {
      adopt((await mlsDoor.joinByWelcome(mls, { welcome, keyPackages: [offered!], authenticate, psks })).state)
    },
    async joinExternally(groupInfo, own, aad) {
      const joined = await mlsDoor.joinExternally(mls, { groupInfo, identity, keyPair, authenticate, psks: own, aad })
      adopt(joined.state)
      return joined
    },
    async learn(psk) {
      psks.push(psk)
    },
    async commit({ update, extensions, ...wish }) {
      const options = { ...wish, ...(extensions && { extensions }), forcePath: update, knownPsks: psks }
      const committed = await mlsDoor.createCommit(mls, state(), options)
      adopt(committed.state)
      return committed
    },
    async propose(wish) {
      if ('update' in wish) throw new Error('not offered')
      const proposed = await mlsDoor.createProposal(mls, state(), wish)
      adopt(proposed.state)
      return proposed.proposal
    },
    async process(message) {
      const processed = await mlsDoor.processMessage(mls, state(), message, { authenticate, psks })
      adopt(processed.state)
      const { kind, aad } = processed
      if (kind === 'application') return { kind, aad, plaintext: processed.plaintext, sender: processed.sender.index }
      const sender = processed.sender.type === 'member' ? processed.sender.index : undefined
      return { kind, aad, sender, ...(kind === 'commit' && { active: !processed.selfRemoved }) }
    },
    async send(plaintext, aad) {
      const sent = await mlsDoor.encryptMessage(mls, state(), plaintext, aad)
      adopt(sent.state)
      return sent.message
    },
    async state() {
      return {
        epoch: Number(mlsDoor.epochOf(state())),
        authenticator: toHex(mlsDoor.epochAuthenticator(state())),
        secret: toHex(await mlsDoor.exportSecret(mls, state(), 'interop', utf8('context'), 32)),
        context: toHex(mlsDoor.contextBytesOf(state())),
        ownIndex: mlsDoor.ownLeafIndex(state()),
        members: mlsDoor
          .leavesOf(state())
          .map(({ index, signatureKey }) => ({ index, signatureKey: toHex(signatureKey) })),
      }
    },
  }
}

/** `handshakesPrivate`: its proposals and commits are PrivateMessages. */
export async function openMlsParty(process: OpenMlsProcess, name: string, handshakesPrivate: boolean): Promise<Party> {
  const run = (action: string, fields: Fields = {}) => process.run({ do: action, member: name, ...fields })
  const bytes = (value: unknown) => Uint8Array.from(Buffer.from(String(value), 'hex'))
  const committed = ({ commit, welcome, groupInfo }: Fields): Committed => ({
    commit: bytes(commit),
    groupInfo: bytes(groupInfo),
    ...(typeof welcome === 'string' && { welcome: bytes(welcome) }),
  })
  const vector = (extensions: Extension[]) =>
    toHex(
      encode(varLenTypeEncoder(extensionEncoder))(
        extensions.map(({ type, data }) => ({ extensionType: type, extensionData: data })),
      ),
    )
  await run('new', { private: handshakesPrivate })
  return {
    name,
    kind: 'openmls',
    keyPackage: async () => bytes((await run('keyPackage')).keyPackage),
    async create(groupId, extensions) {
      const created = await run('create', { groupId: toHex(groupId), extensions: vector(extensions) })
      return bytes(created.groupInfo)
    },
    async join(welcome) {
      await run('join', { welcome: toHex(welcome) })
    },
    async joinExternally(groupInfo, psks, aad) {
      const ids = psks.map(({ id }) => toHex(id))
      return committed(await run('externalJoin', { groupInfo: toHex(groupInfo), psks: ids, aad: toHex(aad) }))
    },
    async learn({ id, secret }) {
      await run('psk', { id: toHex(id), secret: toHex(secret) })
    },
    async commit({ add, remove, psks, extensions, update, aad }) {
      return committed(
        await run('commit', {
          add: add.map(toHex),
          remove,
          psks: psks.map(({ id }) => toHex(id)),
          ...(extensions && { extensions: vector(extensions) }),
          update,
          aad: toHex(aad),
        }),
      )
    },
    async propose(wish) {
      if ('update' in wish) return bytes((await run('proposeUpdate')).proposal)
      if ('add' in wish) return bytes((await run('proposeAdd', { keyPackage: toHex(wish.add) })).proposal)
      if ('remove' in wish) return bytes((await run('proposeRemove', { index: wish.remove })).proposal)
      if ('psk' in wish) return bytes((await run('proposePsk', { id: toHex(wish.psk.id) })).proposal)
      return bytes((await run('proposeExtensions', { extensions: vector([...wish.extensions]) })).proposal)
    },
    async process(message) {
      const told = await run('process', { message: toHex(message) })
      return {
        kind: told.kind as Told['kind'],
        aad: bytes(told.aad),
        sender: (told.sender as number | null) ?? undefined,
        ...(told.plaintext !== undefined && { plaintext: bytes(told.plaintext) }),
        ...(told.active !== undefined && { active: told.active as boolean }),
      }
    },
    send: async (plaintext, aad) =>
      bytes((await run('send', { plaintext: toHex(plaintext), aad: toHex(aad) })).message),
    state: async () => (await run('state')) as unknown as PartyState,
  }
}
