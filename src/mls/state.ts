import type { ClientState } from 'ts-mls'
import { decodeUint64, uint64Encoder } from 'ts-mls/codec/number.js'
import { type Decoder, mapDecoders } from 'ts-mls/codec/tlsDecoder.js'
import { composeBufferEncoders, encode } from 'ts-mls/codec/tlsEncoder.js'
import { bigintMapEncoder, decodeBigintMap, decodeVarLenData, varLenDataEncoder } from 'ts-mls/codec/variableLength.js'
import type { EpochReceiverData } from 'ts-mls/epochReceiverData.js'
import { decodeGroupActiveState, groupActiveStateEncoder } from 'ts-mls/groupActiveState.js'
import { decodeGroupContext, groupContextEncoder } from 'ts-mls/groupContext.js'
import { decodeKeySchedule, keyScheduleEncoder } from 'ts-mls/keySchedule.js'
import { decodePrivateKeyPath, privateKeyPathEncoder } from 'ts-mls/privateKeyPath.js'
import { decodeRatchetTree, ratchetTreeEncoder } from 'ts-mls/ratchetTree.js'
import { decodeSecretTree, type SecretTree, secretTreeEncoder } from 'ts-mls/secretTree.js'
import { decodeUnappliedProposals, unappliedProposalsEncoder } from 'ts-mls/unappliedProposals.js'
import { concatBytes } from '../crypto/index.ts'
import { clientConfig } from './config.ts'
import { decodeAll } from './decode.ts'
import { MlsError } from './errors.ts'
import { type GroupState, inside, wrap } from './group.ts'

/** A state in two parts, both full of secrets, to be sealed and written in one transaction. */
export interface EncodedState {
  /** Changes with a commit or a proposal. */
  group: Uint8Array
  /** Changes with every message too. */
  ratchets: Uint8Array
}

/** Of this layout; another layout gets another number. */
const version = 1

type PastEpoch = Omit<EpochReceiverData, 'secretTree'>

const pastEncoder = (past: PastEpoch) =>
  composeBufferEncoders([varLenDataEncoder, ratchetTreeEncoder, varLenDataEncoder, groupContextEncoder])([
    past.resumptionPsk,
    past.ratchetTree,
    past.senderDataSecret,
    past.groupContext,
  ])
const decodePast = mapDecoders(
  [decodeVarLenData, decodeRatchetTree, decodeVarLenData, decodeGroupContext],
  (resumptionPsk, ratchetTree, senderDataSecret, groupContext): PastEpoch => ({
    resumptionPsk,
    ratchetTree,
    senderDataSecret,
    groupContext,
  }),
)

const groupEncoder = composeBufferEncoders([
  groupContextEncoder,
  keyScheduleEncoder,
  ratchetTreeEncoder,
  privateKeyPathEncoder,
  varLenDataEncoder,
  unappliedProposalsEncoder,
  varLenDataEncoder,
  groupActiveStateEncoder,
  bigintMapEncoder(pastEncoder),
])
const decodeGroup = mapDecoders(
  [
    decodeGroupContext,
    decodeKeySchedule,
    decodeRatchetTree,
    decodePrivateKeyPath,
    decodeVarLenData,
    decodeUnappliedProposals,
    decodeVarLenData,
    decodeGroupActiveState,
    decodeBigintMap(decodePast),
  ],
  (
    groupContext,
    keySchedule,
    ratchetTree,
    privatePath,
    signaturePrivateKey,
    unappliedProposals,
    confirmationTag,
    groupActiveState,
    past,
  ) => ({
    groupContext,
    keySchedule,
    ratchetTree,
    privatePath,
    signaturePrivateKey,
    unappliedProposals,
    confirmationTag,
    groupActiveState,
    past,
  }),
)

const ratchetsEncoder = composeBufferEncoders([uint64Encoder, secretTreeEncoder, bigintMapEncoder(secretTreeEncoder)])
const decodeRatchets = mapDecoders(
  [decodeUint64, decodeSecretTree, decodeBigintMap(decodeSecretTree)],
  (epoch, secretTree, past) => ({ epoch, secretTree, past }),
)

/** The whole state, for storage. */
export function encodeState(state: GroupState): EncodedState {
  const inner = inside(state)
  const past = new Map<bigint, PastEpoch>(inner.historicalReceiverData)
  const group = encode(groupEncoder)([
    inner.groupContext,
    inner.keySchedule,
    inner.ratchetTree,
    inner.privatePath,
    inner.signaturePrivateKey,
    inner.unappliedProposals,
    inner.confirmationTag,
    inner.groupActiveState,
    past,
  ])
  return { group: concatBytes(Uint8Array.of(version), group), ratchets: encodeRatchets(inner) }
}

/** Only the part that a message changes. */
export function encodeRatchetsOf(state: GroupState): Uint8Array {
  return encodeRatchets(inside(state))
}

function encodeRatchets(state: ClientState): Uint8Array {
  const past = new Map<bigint, SecretTree>()
  for (const [epoch, { secretTree }] of state.historicalReceiverData) past.set(epoch, secretTree)
  const ratchets = encode(ratchetsEncoder)([state.groupContext.epoch, state.secretTree, past])
  return concatBytes(Uint8Array.of(version), ratchets)
}

/**
 * Reverses `encodeState`. Throws MlsError 'malformed' when the parts are not of one epoch: a storage that wrote one of
 * them only has lost the promise that it made.
 */
export function decodeState({ group, ratchets }: EncodedState): GroupState {
  const { past, ...rest } = decodePart(decodeGroup, group)
  const { epoch, secretTree, past: pastRatchets } = decodePart(decodeRatchets, ratchets)
  if (epoch !== rest.groupContext.epoch) throw new MlsError('malformed', 'parts of a state from different epochs')
  const historicalReceiverData = new Map<bigint, EpochReceiverData>()
  for (const [pastEpoch, data] of past) {
    const pastTree = pastRatchets.get(pastEpoch)
    if (pastTree === undefined) throw new MlsError('malformed', 'parts of a state from different epochs')
    historicalReceiverData.set(pastEpoch, { ...data, secretTree: pastTree })
  }
  return wrap({ ...rest, secretTree, historicalReceiverData, clientConfig })
}

function decodePart<T>(decode: Decoder<T>, part: Uint8Array): T {
  if (part[0] !== version) throw new MlsError('malformed', 'a state of another layout')
  return decodeAll(decode, part.subarray(1), 'state')
}
