/**
 * A door for `npm run conformance` and nothing else: what a case of each format of the MLS working group's test vectors
 * asks for (github.com/mlswg/mls-implementations, test-vectors.md). Passive clients and trees go through what the product
 * uses, so that its checks are measured too; the rest looks at single structures of the library behind it.
 */
import { ciphersuites, type MLSMessage, type RatchetTree } from 'ts-mls'
import { validateRatchetTree } from 'ts-mls/clientState.js'
import { decodeCommit, encodeCommit } from 'ts-mls/commit.js'
import { verifyGroupInfoConfirmationTag, verifyGroupInfoSignature } from 'ts-mls/groupInfo.js'
import { decodeGroupSecrets, encodeGroupSecrets } from 'ts-mls/groupSecrets.js'
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js'
import { computePskSecret, type PreSharedKeyID } from 'ts-mls/presharedkey.js'
import * as proposals from 'ts-mls/proposal.js'
import { accumulatePskSecret, emptyPskIndex } from 'ts-mls/pskIndex.js'
import { decodeRatchetTree, encodeRatchetTree, resolution } from 'ts-mls/ratchetTree.js'
import { treeHash } from 'ts-mls/treeHash.js'
import { toNodeIndex } from 'ts-mls/treemath.js'
import { decryptGroupInfo, decryptGroupSecrets } from 'ts-mls/welcome.js'
import { toHex } from '../crypto/index.ts'
import { clientConfig } from './config.ts'
import { decodeTree } from './group-info.ts'
import { epochAuthenticator, joinByWelcome, processMessage } from './index.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { encodePrivate } from './own-key-package.ts'
import { checkParentHashes } from './parent-hash.ts'
import { nodeMlsProvider } from './provider-node.ts'
import type { MlsProvider, SuiteName } from './suite.ts'
import { checkTree } from './tree.ts'

type Case = Record<string, unknown>
type Check = (value: Case) => Promise<void>

/** The check for a case, by the members that it has. Throws for an unknown format. */
export function formatOf(value: unknown): Check {
  const has = (...names: string[]) => names.every((name) => name in (value as object))
  if (typeof value === 'object' && value !== null) {
    if (has('key_package', 'welcome', 'initial_epoch_authenticator', 'epochs')) return passiveClient
    if (has('key_package', 'welcome', 'signer_pub')) return welcome
    if (has('tree', 'tree_hashes', 'resolutions')) return treeValidation
    if (has('psks', 'psk_secret')) return pskSecret
    if (has('mls_welcome', 'mls_group_info', 'private_message')) return messages
  }
  throw new Error('unknown format')
}

async function passiveClient(value: Case): Promise<void> {
  const mls = providerOf(value)
  const authenticate = () => {}
  const psks = list(value.external_psks ?? []).map((psk) => ({ id: hex(psk.psk_id), secret: hex(psk.psk) }))
  const joined = await joinByWelcome(mls, {
    welcome: hex(value.welcome),
    keyPackages: [
      {
        publicPart: hex(value.key_package),
        privatePart: encodePrivate({
          initPrivateKey: hex(value.init_priv),
          hpkePrivateKey: hex(value.encryption_priv),
          signaturePrivateKey: hex(value.signature_priv),
        }),
      },
    ],
    authenticate,
    psks,
    ...(value.ratchet_tree ? { ratchetTree: hex(value.ratchet_tree) } : {}),
  })
  let { state } = joined
  expectEqual(epochAuthenticator(state), value.initial_epoch_authenticator, 'initial epoch authenticator')
  for (const epoch of list(value.epochs)) {
    for (const message of [...(epoch.proposals as string[]), epoch.commit])
      state = (await processMessage(mls, state, hex(message), { authenticate, psks })).state
    expectEqual(epochAuthenticator(state), epoch.epoch_authenticator, 'epoch authenticator')
  }
}

async function welcome(value: Case): Promise<void> {
  const { suite } = providerOf(value)
  const { keyPackage } = decodeMessage(hex(value.key_package), 'mls_key_package')
  const message = decodeMessage(hex(value.welcome), 'mls_welcome').welcome
  const initKey = await suite.hpke.importPrivateKey(hex(value.init_priv))
  const reference = await makeKeyPackageRef(keyPackage, suite.hash)
  const secrets = await decryptGroupSecrets(initKey, reference, message, suite.hpke)
  if (secrets === undefined) throw new Error('group secrets do not decode')
  const zeros = new Uint8Array(suite.kdf.size)
  const [psk] = await accumulatePskSecret(secrets.psks, emptyPskIndex, suite, zeros)
  const info = await decryptGroupInfo(message, secrets.joinerSecret, psk, suite)
  if (info === undefined) throw new Error('GroupInfo does not decode')
  if (!(await verifyGroupInfoSignature(info, hex(value.signer_pub), suite.signature)))
    throw new Error('signature of the GroupInfo')
  if (!(await verifyGroupInfoConfirmationTag(info, secrets.joinerSecret, psk, suite)))
    throw new Error('confirmation tag')
}

async function treeValidation(value: Case): Promise<void> {
  const { suite } = providerOf(value)
  const tree: RatchetTree = decodeTree(hex(value.tree))
  expectEqual(encodeRatchetTree(tree), value.tree, 'tree encoded again')
  const hashes = value.tree_hashes as string[]
  const resolutions = value.resolutions as number[][]
  if (hashes.length !== tree.length || resolutions.length !== tree.length) throw new Error('number of nodes')
  for (const [index, wanted] of resolutions.entries()) {
    const node = toNodeIndex(index)
    expectEqual(await treeHash(tree, node, suite.hash), hashes[index], 'tree hash')
    if (JSON.stringify(resolution(tree, node)) !== JSON.stringify(wanted)) throw new Error('resolution')
  }
  const root = hex(hashes[(tree.length - 1) / 2])
  const context = {
    version: 'mls10' as const,
    cipherSuite: suite.name,
    groupId: hex(value.group_id),
    epoch: 0n,
    treeHash: root,
    confirmedTranscriptHash: new Uint8Array(),
    extensions: [],
  }
  const { lifetimeConfig, authService } = clientConfig
  const error = await validateRatchetTree(tree, context, lifetimeConfig, authService, root, suite)
  if (error !== undefined) throw error
  checkTree(tree, context, 'invalid-tree')
  await checkParentHashes(suite, tree)
}

async function pskSecret(value: Case): Promise<void> {
  const { suite } = providerOf(value)
  const psks = list(value.psks).map((each): [PreSharedKeyID, Uint8Array] => [
    { psktype: 'external', pskId: hex(each.psk_id), pskNonce: hex(each.psk_nonce) },
    hex(each.psk),
  ])
  expectEqual(await computePskSecret(psks, suite), value.psk_secret, 'psk secret')
}

const messageKinds: Record<string, MLSMessage['wireformat']> = {
  mls_welcome: 'mls_welcome',
  mls_group_info: 'mls_group_info',
  mls_key_package: 'mls_key_package',
  public_message_application: 'mls_public_message',
  public_message_proposal: 'mls_public_message',
  public_message_commit: 'mls_public_message',
  private_message: 'mls_private_message',
}

type Codec = (bytes: Uint8Array) => [encoded: Uint8Array, length: number] | undefined

/** Decodes at the start and encodes what came of it. */
function codec<T>(
  decode: (bytes: Uint8Array, offset: number) => [T, number] | undefined,
  encode: (value: T) => Uint8Array,
): Codec {
  return (bytes) => {
    const decoded = decode(bytes, 0)
    return decoded && [encode(decoded[0]), decoded[1]]
  }
}

const structures: Record<string, Codec> = {
  ratchet_tree: codec(decodeRatchetTree, encodeRatchetTree),
  group_secrets: codec(decodeGroupSecrets, encodeGroupSecrets),
  add_proposal: codec(proposals.decodeAdd, proposals.encodeAdd),
  update_proposal: codec(proposals.decodeUpdate, proposals.encodeUpdate),
  remove_proposal: codec(proposals.decodeRemove, proposals.encodeRemove),
  pre_shared_key_proposal: codec(proposals.decodePSK, proposals.encodePSK),
  re_init_proposal: codec(proposals.decodeReinit, proposals.encodeReinit),
  external_init_proposal: codec(proposals.decodeExternalInit, proposals.encodeExternalInit),
  group_context_extensions_proposal: codec(
    proposals.decodeGroupContextExtensions,
    proposals.encodeGroupContextExtensions,
  ),
  commit: codec(decodeCommit, encodeCommit),
}

async function messages(value: Case): Promise<void> {
  for (const [name, text] of Object.entries(value)) {
    const bytes = hex(text)
    const kind = messageKinds[name]
    if (kind !== undefined) {
      expectEqual(encodeMessage(decodeMessage(bytes, kind)), text, name)
      continue
    }
    const structure = structures[name]
    if (structure === undefined) throw new Error(`unknown structure ${name}`)
    const result = structure(bytes)
    if (result === undefined || result[1] !== bytes.length) throw new Error(`${name} does not decode`)
    expectEqual(result[0], text, name)
  }
}

const providers = new Map<number, MlsProvider>()

function providerOf(value: Case): MlsProvider {
  const id = value.cipher_suite as number
  const known = providers.get(id)
  if (known !== undefined) return known
  const name = Object.entries(ciphersuites).find(([, number]) => number === id)?.[0] as SuiteName | undefined
  if (name === undefined) throw new Error(`no suite of RFC 9420 has the number ${id}`)
  try {
    const provider = nodeMlsProvider(name)
    providers.set(id, provider)
    return provider
  } catch (cause) {
    throw new Error(`the cryptography at hand lacks ciphersuite ${id}`, { cause })
  }
}

function list(value: unknown): Case[] {
  if (!Array.isArray(value)) throw new Error('a list is missing')
  return value
}

function hex(value: unknown): Uint8Array {
  if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/i.test(value)) throw new Error('hexadecimal text is missing')
  return Uint8Array.from(Buffer.from(value, 'hex'))
}

function expectEqual(actual: Uint8Array, wanted: unknown, what: string): void {
  if (toHex(actual) !== String(wanted).toLowerCase()) throw new Error(`${what} differs`)
}
