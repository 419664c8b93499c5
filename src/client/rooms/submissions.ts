import { ContentError, encodeContent, type MimiContent, messageId } from '../../content/index.ts'
import { toHex } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import { encryptMessage, epochOf, largestPlaintext, pendingProposals } from '../../mls/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { isForGuests } from '../guests/content.ts'
import {
  pendingCommits,
  type SentRecord,
  type SubmissionRecord,
  sentKeys,
  submissionKey,
  submissionPrefix,
  submissions,
} from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { LogPosition, OutgoingContent } from '../types.ts'

const sentKey = (room: RoomId, key: Uint8Array) => `${room} ${toHex(key)}`

/** What was sent under this key before, or is about to be. */
export function alreadySent(work: RoomWork, key: Uint8Array): Promise<SentRecord | undefined> {
  return sentKeys.get(work.tx, sentKey(work.id, key))
}

/**
 * Puts a message at the end of the room's queue, encrypted already where that can be. State, message and what the caller
 * writes in the same transaction become durable together, before a byte leaves. Errors: too-large, text-only.
 */
export async function addSubmission(
  context: Context,
  work: RoomWork,
  outgoing: OutgoingContent,
  givenKey?: Uint8Array,
): Promise<Uint8Array> {
  if (work.record?.kind === 'guest' && !isForGuests(outgoing)) throw new ClientError('text-only')
  const salt = context.crypto.randomBytes(16)
  const most = largestPlaintext(messageBytesOf(context, work))
  const content = encodedWithin({ ...outgoing, salt, sender: context.self.address, room: work.id }, most)
  const id = messageId(context.crypto, { sender: context.self.address, room: work.id, encoded: content, salt })
  const key = givenKey ?? context.crypto.randomBytes(16)
  const value: SubmissionRecord = { messageId: id, key, keyGiven: givenKey !== undefined, content }
  const order = work.record?.sends ?? 0
  work.update({ sends: order + 1 })
  const canEncrypt = work.record?.joined && !work.record.enter && !(await pendingCommits.get(work.tx, work.id))
  await submissions.put(
    work.tx,
    submissionKey(work.id, order),
    canEncrypt ? await encrypted(context, work, value) : value,
  )
  if (givenKey) await sentKeys.put(work.tx, sentKey(work.id, key), { messageId: id, at: context.clock() })
  return id
}

/** Errors: too-large; ContentError for what no receiver could read. */
function encodedWithin(message: MimiContent, most: number): Uint8Array {
  try {
    const content = encodeContent(message)
    if (content.length <= most) return content
  } catch (cause) {
    if (!(cause instanceof ContentError && cause.code === 'too-large')) throw cause
  }
  throw new ClientError('too-large')
}

/** A message of this room, as the provider takes it at most. */
function messageBytesOf({ settings }: Context, { record }: RoomWork): number {
  return record?.kind === 'guest' ? settings.guestMessageBytes : settings.messageBytes
}

/** The submission encrypted for the present epoch; unchanged when it is, or while proposals wait for their commit. */
export async function encrypted(context: Context, work: RoomWork, value: SubmissionRecord): Promise<SubmissionRecord> {
  const group = await work.group()
  if (value.message && value.epoch === Number(epochOf(group))) return value
  if (pendingProposals(group).length > 0) return value
  const { state, message } = await encryptMessage(
    context.mls,
    group,
    value.content,
    undefined,
    messageBytesOf(context, work),
  )
  work.advance(state, 'ratchets')
  return { ...value, message, epoch: Number(epochOf(state)) }
}

/** The oldest message that waits. */
export async function firstSubmission(work: RoomWork) {
  const [first] = await submissions.list(work.tx, submissionPrefix(work.id), 1)
  return first
}

/** The oldest messages that wait, at most so many. */
export function firstSubmissions(work: RoomWork, limit: number) {
  return submissions.list(work.tx, submissionPrefix(work.id), limit)
}

/** The message has its place in the log. */
export async function settleSubmission(
  context: Context,
  work: RoomWork,
  key: string,
  value: SubmissionRecord,
  at: LogPosition,
): Promise<void> {
  await submissions.delete(work.tx, key)
  const { seq, timestampMs } = at
  if (seq > (work.record?.settled ?? 0)) work.update({ settled: seq })
  // Its own entry in the log says nothing more.
  if (work.record?.joined && !work.record.enter && work.record.cursor === seq - 1) work.update({ cursor: seq })
  const { messageId } = value
  if (value.keyGiven)
    await sentKeys.put(work.tx, sentKey(work.id, value.key), { messageId, at: context.clock(), seq, timestampMs })
  await context.events.run('accepted', { ...at, messageId }, work.tx)
  work.afterwards(async () => {
    context.sends.accepted(messageId, { seq, timestampMs })
    await context.step('client.submission.done')
  })
}

/** The provider will not take the message: its author is told, and the next one has its turn. */
export async function refuseSubmission(
  context: Context,
  work: RoomWork,
  key: string,
  { messageId, ...value }: SubmissionRecord,
  error: ClientError,
): Promise<void> {
  await submissions.delete(work.tx, key)
  // The caller may try again under the same key when things have changed.
  if (value.keyGiven) await sentKeys.delete(work.tx, sentKey(work.id, value.key))
  await context.events.run('refused', { room: work.id, messageId, error }, work.tx)
  work.afterwards(() => context.sends.refused(messageId, error))
}

/** The same for all that waits in the room. */
export async function refuseAll(context: Context, work: RoomWork, error: ClientError): Promise<void> {
  for (const { key, value } of await submissions.list(work.tx, submissionPrefix(work.id)))
    await refuseSubmission(context, work, key, value, error)
}
