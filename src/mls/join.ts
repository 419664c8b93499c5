import type { ClientState, KeyPackage, RatchetTree, Welcome } from 'ts-mls'
import { joinGroupWithExtensions } from 'ts-mls/clientState.js'
import { joinGroupExternal } from 'ts-mls/createCommit.js'
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js'
import { accumulatePskSecret, type PskIndex } from 'ts-mls/pskIndex.js'
import { decryptGroupInfo, decryptGroupSecrets } from 'ts-mls/welcome.js'
import { equalBytes, type KeyPair } from '../crypto/index.ts'
import { pskIdsOf, pskIndexOf } from './commit.ts'
import { clientConfig } from './config.ts'
import { MlsError, translating } from './errors.ts'
import { ownExtensionsOf } from './extensions.ts'
import { checkGroup, farFuture, type GroupState, groupInfoOf, wrap } from './group.ts'
import { checkGroupInfoShape, decodeTree } from './group-info.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { decodePrivate, makeKeyPackage, type StoredKeyPackage } from './own-key-package.ts'
import { checkOwnKeys } from './own-keys.ts'
import { checkParentHashes } from './parent-hash.ts'
import { authenticated } from './proposals.ts'
import type { MlsProvider } from './suite.ts'
import { indexOfKey, leaves, viewAt } from './tree.ts'
import type { AuthenticateLeaf, Extension, Psk } from './types.ts'

export interface WelcomeOptions {
  /** MLSMessage. */
  welcome: Uint8Array
  /** The device's KeyPackages, of which the Welcome names one. */
  keyPackages: readonly StoredKeyPackage[]
  authenticate: AuthenticateLeaf
  psks?: readonly Psk[]
  /** The tree, where the Welcome does not bring it (RFC 9420 §12.4.3.3): optional<Node> ratchet_tree<V>. */
  ratchetTree?: Uint8Array
}

export interface WelcomeResult {
  state: GroupState
  /** KeyPackageRef of the one that was used; to be deleted unless it is the last resort. */
  usedReference: Uint8Array
  /** Without the ratchet tree. */
  groupInfoExtensions: Extension[]
  /** Ids of the external pre-shared keys that went into the epoch: whoever made the Welcome has all of them. */
  pskIds: Uint8Array[]
}

/**
 * Joins by a Welcome (RFC 9420 §12.4.3.1): GroupInfo, tree and every leaf verified, every leaf authenticated. Throws
 * MlsError 'no-key-package' when none of ours is meant, 'missing-psk', 'invalid-tree', 'refused-leaf' and others.
 */
export async function joinByWelcome(mls: MlsProvider, options: WelcomeOptions): Promise<WelcomeResult> {
  const { welcome } = decodeMessage(options.welcome, 'mls_welcome')
  if (welcome.cipherSuite !== mls.suite.name) throw new MlsError('unsupported', 'a Welcome of another suite')
  const { keyPackage, reference, stored } = await meantPackage(mls, welcome, options.keyPackages)
  const privateKeys = decodePrivate(stored.privatePart)
  const pskIndex = pskIndexOf(undefined, options.psks)
  const tree = options.ratchetTree && decodeTree(options.ratchetTree)
  const pskIds = await checkBeforeJoining(mls, welcome, reference, privateKeys.initPrivateKey, pskIndex, tree)
  const [state, extensions] = await translating('invalid-tree', () =>
    joinGroupWithExtensions(welcome, keyPackage, privateKeys, pskIndex, mls.suite, tree, undefined, clientConfig),
  )
  await checkJoined(mls, state, options.authenticate)
  return { state: wrap(state), usedReference: reference, groupInfoExtensions: ownExtensionsOf(extensions), pskIds }
}

async function meantPackage(mls: MlsProvider, welcome: Welcome, packages: readonly StoredKeyPackage[]) {
  for (const stored of packages) {
    const { keyPackage } = decodeMessage(stored.publicPart, 'mls_key_package')
    const reference = await makeKeyPackageRef(keyPackage, mls.suite.hash)
    if (welcome.secrets.some(({ newMember }) => equalBytes(newMember, reference)))
      return { keyPackage: keyPackage as KeyPackage, reference, stored }
  }
  throw new MlsError('no-key-package', 'a Welcome for none of these KeyPackages')
}

/** Opens the Welcome once to see what ts-mls would only fail on, and to bound the tree before it is worked on. */
async function checkBeforeJoining(
  mls: MlsProvider,
  welcome: Welcome,
  reference: Uint8Array,
  initKey: Uint8Array,
  pskIndex: PskIndex,
  tree: RatchetTree | undefined,
): Promise<Uint8Array[]> {
  const secrets = await translating('undecryptable', async () =>
    decryptGroupSecrets(await mls.suite.hpke.importPrivateKey(initKey), reference, welcome, mls.suite.hpke),
  )
  if (secrets === undefined) throw new MlsError('malformed', 'group secrets do not decode')
  for (const id of secrets.psks) {
    if (id.psktype === 'resumption') throw new MlsError('unsupported', 'a branch or replacement of another group')
    if (pskIndex.findPsk(id) === undefined) throw new MlsError('missing-psk', 'a pre-shared key that is not known here')
  }
  await translating('undecryptable', async () => {
    const zeros = new Uint8Array(mls.suite.kdf.size)
    const [pskSecret] = await accumulatePskSecret(secrets.psks, pskIndex, mls.suite, zeros)
    const info = await decryptGroupInfo(welcome, secrets.joinerSecret, pskSecret, mls.suite)
    if (info === undefined) throw new MlsError('malformed', 'GroupInfo does not decode')
    checkGroupInfoShape(info, tree)
  })
  return secrets.psks.flatMap((id) => (id.psktype === 'external' ? [id.pskId] : []))
}

async function checkJoined(mls: MlsProvider, state: ClientState, authenticate: AuthenticateLeaf): Promise<void> {
  checkGroup(state, 'invalid-tree')
  await checkParentHashes(mls.suite, state.ratchetTree)
  checkOwnKeys(mls, state, 'invalid-tree')
  for (const leaf of leaves(state.ratchetTree)) await authenticated(authenticate, leaf)
}

export interface ExternalJoinOptions {
  /** MLSMessage, with ratchet tree and external_pub. */
  groupInfo: Uint8Array
  identity: Uint8Array
  keyPair: KeyPair
  authenticate: AuthenticateLeaf
  /** The own former leaf (resync). A leaf with the same signature key is found without being named. */
  removeLeaf?: number
  psks?: readonly Psk[]
  aad?: Uint8Array
  groupInfoExtensions?: readonly Extension[]
}

export interface ExternalJoinResult {
  state: GroupState
  /** MLSMessage, a PublicMessage. */
  commit: Uint8Array
  /** MLSMessage with the GroupInfo of the new epoch. */
  groupInfo: Uint8Array
}

/** Joins by an external commit (RFC 9420 §12.4.3.2), in place of the own former leaf if there is one. */
export async function joinExternally(mls: MlsProvider, options: ExternalJoinOptions): Promise<ExternalJoinResult> {
  const { groupInfo } = decodeMessage(options.groupInfo, 'mls_group_info')
  if (groupInfo.groupContext.cipherSuite !== mls.suite.name) throw new MlsError('unsupported', 'another suite')
  const tree = checkGroupInfoShape(groupInfo)
  await translating('invalid-tree', () => checkParentHashes(mls.suite, tree))
  for (const leaf of leaves(tree)) await authenticated(options.authenticate, leaf)
  const former = formerLeaf(tree, options)
  const { keyPackage, privateKeys } = await makeKeyPackage(mls, {
    identity: options.identity,
    keyPair: options.keyPair,
    notBefore: 0,
    notAfter: farFuture,
  })
  const { newState, publicMessage } = await translating('invalid-tree', () =>
    joinGroupExternal(
      groupInfo,
      keyPackage,
      privateKeys,
      false,
      mls.suite,
      tree,
      clientConfig,
      options.aad ?? new Uint8Array(),
      {
        ...(former !== undefined && { removeLeaf: former }),
        psks: pskIdsOf(mls, options.psks),
        pskSearch: pskIndexOf(undefined, options.psks),
      },
    ),
  )
  checkGroup(newState, 'invalid-tree')
  const state = wrap(newState)
  return {
    state,
    commit: encodeMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage }),
    groupInfo: await groupInfoOf(mls, state, { extensions: options.groupInfoExtensions ?? [] }),
  }
}

function formerLeaf(tree: RatchetTree, { keyPair, removeLeaf }: ExternalJoinOptions): number | undefined {
  const own = indexOfKey(tree, keyPair.publicKey)
  if (removeLeaf === undefined || removeLeaf === own) return own
  if (own !== undefined || !equalBytes(viewAt(tree, removeLeaf).signatureKey, keyPair.publicKey))
    throw new MlsError('invalid-commit', 'an external commit removes a leaf of someone else')
  return removeLeaf
}
