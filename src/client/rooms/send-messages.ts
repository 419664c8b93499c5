import type { RoomId } from '../../identity/index.ts'
import { expect } from '../connection/wire.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { type SubmissionRecord, submissions } from '../state/records.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import { encrypted, firstSubmissions, settleSubmission } from './submissions.ts'

/** A message that waits, and where. */
export interface Waiting {
  readonly key: string
  readonly value: SubmissionRecord
}

/** How many messages of a room the provider takes in one request. */
export async function messagesAtOnce({ connection, settings }: Context): Promise<number> {
  const { capabilities } = await connection.hello()
  return capabilities.includes('further-messages') ? settings.submitBatch : 1
}

/** The oldest messages that wait, encrypted for the present epoch, at most so many and as many as one request may carry. */
export async function waitingMessages(context: Context, work: RoomWork, most: number): Promise<Waiting[]> {
  const batch: Waiting[] = []
  let bytes = 0
  for (const { key, value: before } of await firstSubmissions(work, most)) {
    const value = await encrypted(context, work, before)
    if (value !== before) await submissions.put(work.tx, key, value)
    bytes += value.message?.length ?? 0
    if (batch.length > 0 && (!value.message || bytes > context.settings.submitBytes)) break
    batch.push({ key, value })
  }
  return batch
}

/**
 * Submits messages of a room together and settles them where the provider has given each its place.
 *
 * @param afterwards runs in the transaction in which they are settled
 * @returns false when the first of them cannot be encrypted yet
 */
export async function sendMessages(
  context: Context,
  room: RoomId,
  batch: readonly Waiting[],
  afterwards: (work: RoomWork) => Promise<void>,
): Promise<boolean> {
  const [first, ...others] = batch.map(({ value }) => value)
  if (!first?.message) return false
  let sent: Promise<void> | undefined
  const further = others.map(({ key, message }) => ({ idempotencyKey: key, message: message! }))
  const submission = { room, idempotencyKey: first.key, message: first.message, further }
  const answer = await context.request(
    { case: 'submitMessage', value: submission },
    {
      sent: () => {
        sent = Promise.resolve(context.step('client.submission.sent'))
      },
    },
  )
  await sent
  const accepted = expect(answer, 'accepted')
  const places = [accepted, ...accepted.further]
  if (places.length !== batch.length) throw new ClientError('protocol', 'a place for each message was expected')
  await inRoom(context, room, async (work) => {
    for (const [index, { key }] of batch.entries()) {
      // Its own entry in the log may have said so already.
      const still = await submissions.get(work.tx, key)
      const { seq, timestampMs } = places[index]!
      if (still)
        await settleSubmission(context, work, key, still, { room, seq: Number(seq), timestampMs: Number(timestampMs) })
    }
    await afterwards(work)
  })
  return true
}
