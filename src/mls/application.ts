import type { ClientState, PrivateMessage } from 'ts-mls'
import { protectApplicationData, unprotectPrivateMessage } from 'ts-mls/messageProtection.js'
import { MlsError, translating } from './errors.ts'
import { active, type GroupState, wrap } from './group.ts'
import { paddingBuckets } from './limits.ts'
import { encodeMessage } from './messages.ts'
import type { MlsProvider } from './suite.ts'
import { viewAt } from './tree.ts'
import type { LeafView } from './types.ts'

/**
 * Encrypts application data as a PrivateMessage (RFC 9420 §6.3), padded to a bucket of `paddingBuckets`; `aad` stays
 * readable. The new state must be durable before the message leaves. Throws MlsError 'pending-proposals' while there are
 * proposals to commit, which have to be committed first (RFC 9420 §12.4).
 */
export async function encryptMessage(
  mls: MlsProvider,
  state: GroupState,
  plaintext: Uint8Array,
  aad: Uint8Array = new Uint8Array(),
): Promise<{ state: GroupState; message: Uint8Array }> {
  const inner = active(state)
  if (Object.keys(inner.unappliedProposals).length > 0)
    throw new MlsError('pending-proposals', 'proposals have to be committed first')
  const { newSecretTree, privateMessage } = await translating('invalid-proposal', () =>
    protectApplicationData(
      inner.signaturePrivateKey,
      inner.keySchedule.senderDataSecret,
      plaintext,
      aad,
      inner.groupContext,
      inner.secretTree,
      inner.privatePath.leafIndex,
      { kind: 'padUntilLength', padUntilLength: paddedLength(plaintext.length) },
      mls.suite,
    ),
  )
  return {
    state: wrap({ ...inner, secretTree: newSecretTree }),
    message: encodeMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }),
  }
}

/** The bucket for a plaintext with its own length prefix and a signature of 64 bytes with one of two. */
function paddedLength(plaintextLength: number): number {
  const prefix = plaintextLength < 64 ? 1 : plaintextLength < 16_384 ? 2 : 4
  const framed = prefix + plaintextLength + 2 + 64
  const largest = paddingBuckets[paddingBuckets.length - 1]!
  return paddingBuckets.find((bucket) => bucket >= framed) ?? Math.ceil(framed / largest) * largest
}

export interface OpenedMessage {
  state: GroupState
  sender: LeafView
  aad: Uint8Array
  plaintext: Uint8Array
}

/** Opens a PrivateMessage with application data, of this epoch or a retained one. */
export async function openApplication(
  mls: MlsProvider,
  state: ClientState,
  message: PrivateMessage,
): Promise<OpenedMessage> {
  const past = message.epoch === state.groupContext.epoch ? undefined : state.historicalReceiverData.get(message.epoch)
  if (past === undefined && message.epoch !== state.groupContext.epoch)
    throw new MlsError('wrong-epoch', 'a message of another epoch')
  const epoch = past ?? { ...state, senderDataSecret: state.keySchedule.senderDataSecret }
  const { content, tree } = await translating('undecryptable', () =>
    unprotectPrivateMessage(
      epoch.senderDataSecret,
      message,
      epoch.secretTree,
      epoch.ratchetTree,
      epoch.groupContext,
      state.clientConfig.keyRetentionConfig,
      mls.suite,
    ),
  )
  const framed = content.content
  if (framed.contentType !== 'application' || framed.sender.senderType !== 'member')
    throw new MlsError('malformed', 'not application data')
  const next =
    past === undefined
      ? { ...state, secretTree: tree }
      : {
          ...state,
          historicalReceiverData: new Map(state.historicalReceiverData).set(message.epoch, {
            ...past,
            secretTree: tree,
          }),
        }
  return {
    state: wrap(next),
    sender: viewAt(epoch.ratchetTree, framed.sender.leafIndex),
    aad: framed.authenticatedData,
    plaintext: framed.applicationData,
  }
}
