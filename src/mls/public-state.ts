import { mapDecoders } from 'ts-mls/codec/tlsDecoder.js'
import { composeBufferEncoders, encode } from 'ts-mls/codec/tlsEncoder.js'
import { decodeVarLenData, varLenDataEncoder } from 'ts-mls/codec/variableLength.js'
import { decodeGroupContext, groupContextEncoder } from 'ts-mls/groupContext.js'
import { decodeRatchetTree, ratchetTreeEncoder } from 'ts-mls/ratchetTree.js'
import { decodeUnappliedProposals, unappliedProposalsEncoder } from 'ts-mls/unappliedProposals.js'
import { concatBytes } from '../crypto/index.ts'
import { decodeAll } from './decode.ts'
import { MlsError } from './errors.ts'
import { insidePublic, type PublicGroup, type PublicState, wrapPublic } from './public-group.ts'

/** Of this layout; another layout gets another number. */
const version = 1

const encoder = composeBufferEncoders([
  groupContextEncoder,
  ratchetTreeEncoder,
  varLenDataEncoder,
  unappliedProposalsEncoder,
])
const decode = mapDecoders(
  [decodeGroupContext, decodeRatchetTree, decodeVarLenData, decodeUnappliedProposals],
  (groupContext, ratchetTree, confirmationTag, pending): PublicState => ({
    groupContext,
    ratchetTree,
    confirmationTag,
    pending,
  }),
)

/** A public group for storage. There is no secret in it. */
export function encodePublicGroup(group: PublicGroup): Uint8Array {
  const state = insidePublic(group)
  const body = encode(encoder)([state.groupContext, state.ratchetTree, state.confirmationTag, state.pending])
  return concatBytes(Uint8Array.of(version), body)
}

/** Reverses `encodePublicGroup`; for the own storage, so nothing is verified again. Throws MlsError 'malformed'. */
export function decodePublicGroup(stored: Uint8Array): PublicGroup {
  if (stored[0] !== version) throw new MlsError('malformed', 'a public group of another layout')
  return wrapPublic(decodeAll(decode, stored.subarray(1), 'public group'))
}
