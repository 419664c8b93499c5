import { equalBytes, utf8 } from '../../crypto/index.ts'
import { type MessagePeek, MlsError, peekMessage } from '../../mls/public.ts'
import type { HubContext } from '../context.ts'
import { HubError } from '../errors.ts'

export interface MessageSubmission {
  room: string
  key: Uint8Array
  message: Uint8Array
}

export interface MessagesSubmission {
  room: string
  /** In the order in which they are to stand in the log. */
  messages: readonly [Omit<MessageSubmission, 'room'>, ...Omit<MessageSubmission, 'room'>[]]
}

export interface CommitSubmission {
  room: string
  key: Uint8Array
  commit: Uint8Array
  /** Empty when nobody is added. */
  welcome: Uint8Array
  groupInfo: Uint8Array
}

/**
 * Key, size and head of a message, before anything is decoded. Gives the epoch that it is of.
 *
 * Errors: malformed, too-large.
 */
export function readMessageHead(ctx: HubContext, { room, key, message }: MessageSubmission): number {
  checkKey(key)
  if (message.length > ctx.settings.messageBytes) throw new HubError('too-large')
  return epochOf(peek(message), 'private-message', 'application', room)
}

/**
 * Key, sizes and heads of a commit and what comes with it, before anything is decoded. Gives the epoch that it ends.
 *
 * Errors: malformed, too-large.
 */
export function readCommitHead(ctx: HubContext, submission: CommitSubmission): number {
  checkKey(submission.key)
  const { commit, welcome, groupInfo, room } = submission
  if ([commit, welcome, groupInfo].some((bytes) => bytes.length > ctx.settings.commitBytes))
    throw new HubError('too-large')
  const epoch = epochOf(peek(commit), 'public-message', 'commit', room)
  requireGroupInfo(groupInfo)
  if (welcome.length > 0 && peek(welcome).wireFormat !== 'welcome') throw new HubError('malformed')
  return epoch
}

/** Errors: malformed, too-large. */
export function requireGroupInfo(bytes: Uint8Array): void {
  if (peek(bytes).wireFormat !== 'group-info') throw new HubError('malformed')
}

/** An idempotency key of 16 to 32 bytes. */
function checkKey(key: Uint8Array): void {
  if (key.length < 16 || key.length > 32) throw new HubError('malformed')
}

/** The group's id is the room's: nothing of one room passes in another. */
function epochOf(head: MessagePeek, wireFormat: string, contentType: string, room: string): number {
  const { groupId, epoch } = head
  if (head.wireFormat !== wireFormat || head.contentType !== contentType) throw new HubError('malformed')
  if (!groupId || epoch === undefined || !equalBytes(groupId, utf8(room))) throw new HubError('malformed')
  return Number(epoch)
}

/** What can be read of an MLSMessage without decoding it. Errors: malformed, too-large. */
function peek(bytes: Uint8Array) {
  try {
    return peekMessage(bytes)
  } catch (cause) {
    if (!(cause instanceof MlsError)) throw cause
    throw new HubError(cause.code === 'too-large' ? 'too-large' : 'malformed', { cause })
  }
}
