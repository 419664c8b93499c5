import { toHex } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import type { Outgoing, Sent, StorageTx } from '../types.ts'
import { tellRoom, visible } from './announce.ts'
import { addSubmission, alreadySent } from './submissions.ts'
import type { Workers } from './workers.ts'

type Stored = Omit<Sent, 'accepted'> & {
  seq?: number | undefined
  timestampMs?: number | undefined
  fresh?: true | undefined
}

/** Stores messages in one transaction, encrypted, and lets the room send them. As `Device.sendAll`. */
export async function sendAll(
  context: Context,
  workers: Workers,
  room: RoomId,
  messages: readonly Outgoing[],
  within: ((tx: StorageTx, fresh: readonly (Uint8Array | undefined)[]) => unknown) | undefined,
): Promise<Sent[]> {
  if (context.signal.aborted) throw new ClientError('closed')
  if (context.self.unlinked) throw new ClientError('unlinked')
  if (messages.some(({ key }) => key && (key.length < 16 || key.length > 32)))
    throw new ClientError('malformed', 'a key has 16 to 32 bytes')
  const waiting = new Map<Stored, Sent['accepted']>()
  const all = await inRoom(context, room, async (work) => {
    if (!work.record || !visible(work.record)) throw new ClientError('no-such-room')
    if (work.record.standing === 'left' || work.record.standing === 'declined') throw new ClientError('not-allowed')
    // Looked at all at once, which is one look-up for all of them.
    const earlier = await Promise.all(messages.map(({ key }) => key && alreadySent(work, key)))
    const all: Stored[] = []
    /** By their keys: the same one may be twice among these. */
    const here = new Map<string, Stored>()
    for (const [index, message] of messages.entries()) {
      const name = message.key && toHex(message.key)
      const one =
        earlier[index] ?? (name === undefined ? undefined : here.get(name)) ?? (await store(context, work, message))
      if (name !== undefined) here.set(name, { ...one, fresh: undefined })
      all.push(one)
    }
    const fresh = all.filter((one) => one.fresh)
    if (fresh.length > 0)
      await within?.(
        work.tx,
        all.map((one) => (one.fresh ? one.messageId : undefined)),
      )
    // Listened for before anything else can happen in the room.
    work.afterwards(() => {
      for (const one of fresh) waiting.set(one, context.sends.wait(one.messageId))
    })
    return all
  }).catch((error: unknown) => {
    // A storage that broke while it committed may have stored them all the same, and nobody else knows.
    workers.send(room)
    throw error
  })
  if (all.some((one) => one.fresh)) await context.step('client.submission.stored')
  if (all.some(({ seq }) => seq === undefined)) workers.send(room)
  return all.map((one) => {
    const { messageId, seq, timestampMs } = one
    if (seq !== undefined && timestampMs !== undefined)
      return { messageId, accepted: Promise.resolve({ seq, timestampMs }) }
    return { messageId, accepted: waiting.get(one) ?? context.sends.wait(messageId) }
  })
}

async function store(context: Context, work: RoomWork, { content, key }: Outgoing): Promise<Stored> {
  // Whoever answers a stranger has accepted them, and shows who they are.
  if (work.record?.standing === 'requested') {
    work.update({ standing: 'accepted', profileOwed: true })
    await tellRoom(context, work)
  }
  return { messageId: await addSubmission(context, work, content, key), fresh: true }
}
