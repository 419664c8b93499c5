import type { ClientState, PrivateMessage } from 'ts-mls'
import { protectApplicationData, unprotectPrivateMessage } from 'ts-mls/messageProtection.js'
import { MlsError, translating } from './errors.ts'
import { active, type GroupState, wrap } from './group.ts'
import { messageFrameBytes, paddingBuckets, usualMessageBytes } from './limits.ts'
import { encodeMessage } from './messages.ts'
import type { MlsProvider } from './suite.ts'
import { viewAt } from './tree.ts'
import type { LeafView } from './types.ts'

/**
 * Encrypts application data as a PrivateMessage (RFC 9420 §6.3), padded to a bucket of `paddingBuckets`, or to the
 * largest that fits into a message of `messageBytes`; what is larger than `largestPlaintext` is not padded, and not taken
 * by the hub. `aad` stays readable. The new state must be durable before the message leaves. Throws MlsError 'pending-proposals' while there are
 * proposals to commit, which have to be committed first (RFC 9420 §12.4).
 */
export async function encryptMessage(
  mls: MlsProvider,
  state: GroupState,
  plaintext: Uint8Array,
  aad: Uint8Array = new Uint8Array(),
  messageBytes = usualMessageBytes,
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
      { kind: 'padUntilLength', padUntilLength: paddedLength(plaintext.length, messageBytes) },
      mls.suite,
    ),
  )
  return {
    state: wrap({ ...inner, secretTree: newSecretTree }),
    message: encodeMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }),
  }
}

function paddedLength(plaintextLength: number, messageBytes: number): number {
  const framed = framedLength(plaintextLength)
  const largest = messageBytes - messageFrameBytes
  return [...paddingBuckets.filter((bucket) => bucket < largest), largest].find((bucket) => bucket >= framed) ?? framed
}

/** With its own length in front, and a signature of 64 bytes with two bytes of length. */
function framedLength(plaintextLength: number): number {
  const prefix = plaintextLength < 64 ? 1 : plaintextLength < 16_384 ? 2 : 4
  return prefix + plaintextLength + 2 + 64
}

/** Bytes of application data that fit into a message of `messageBytes`, which is at least a few kilobytes. */
export function largestPlaintext(messageBytes: number): number {
  const room = messageBytes - messageFrameBytes
  // The length in front takes two bytes or four.
  return [2, 4].map((prefix) => room - 66 - prefix).find((length) => framedLength(length) <= room)!
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
