import type { ClientErrorCode } from '../../client/index.ts'
import { type ContentDraft, textMessage } from '../../content/index.ts'
import { concatBytes, utf8 } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import type { StoredEvent } from '../matrix/appservice.ts'
import { isDecrypted } from '../matrix/ghosts.ts'
import { fromMatrix, isRefused, type Loss, replyTargetOf } from '../matrix/translate/index.ts'
import { circleOf } from './circle.ts'
import { owned, type PortalContext } from './context.ts'
import { isRefusal } from './errors.ts'
import type { LateEvent } from './late-events.ts'
import { waitForKey } from './missing-key.ts'
import type { OpenPortal, Portal } from './portal-table.ts'
import { lossWords, placeholderText, refusalWords, untranslatableWords, words } from './words.ts'

type Json = Record<string, unknown>

/** What became of a stored event: it is finished, or the room waits with it for so long. */
export type Handled = 'done' | { retryAfterMs: number }

/**
 * A message of the Matrix user: decrypted as the ghost, translated, and given to their device, whose transaction also
 * deletes the stored event. The event's id is the key of the submission, so that a repetition is the same message.
 */
export async function passOn(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<Handled> {
  // A conversation that is begun anew still has the room of the last one.
  if (portal.room === undefined || portal.state === 'wanted') return holdBack(context, portal, stored)
  const read = await readEvent(context, portal, stored)
  if ('retryAfterMs' in read) return read
  if ('placeholder' in read) {
    context.counters.count('placeholders')
    context.counters.count('decryption_failures', { reason: 'no-key' })
    const late = (messageId: Uint8Array): LateEvent => ({
      eventId: stored.eventId,
      placeholder: messageId,
      event: stored.event,
    })
    const tellMissing = async (tx: Transaction, messageId: Uint8Array) => {
      const told = (await context.late.of(tx, portal.id)).length > 0
      await context.late.add(tx, portal.id, late(messageId))
      const said = words.keyMissing()
      const status = { eventId: stored.eventId, status: 'FAIL_RETRIABLE', message: said }
      await context.outbox.add(tx, portal.id, 'status', JSON.stringify(status))
      if (!told) await context.outbox.add(tx, portal.id, 'notice', said)
      tx.afterCommit(() => context.wake(portal.id))
    }
    // That the placeholder arrives is not the message's arrival.
    const note = { reported: true }
    return submit(context, portal, stored, textMessage({ plain: placeholderText }), tellMissing, note)
  }
  if ('said' in read) return refuse(context, portal, stored, read.said)
  const { origin } = read
  if (origin !== undefined && (await context.messages.isReplay(context.database, portal.id, origin, stored.eventId))) {
    // A homeserver can hand an old message over anew; the encryption alone does not show it.
    context.counters.count('faults', { code: 'replayed' })
    return finish(context, portal, stored)
  }
  const result = await translate(context, portal, read)
  if ('nothing' in result) return finish(context, portal, stored)
  if (isRefused(result)) {
    context.counters.count('refused', { way: 'from-matrix', code: result.code })
    return refuse(context, portal, stored, untranslatableWords(result.code))
  }
  context.counters.count('messages', { way: 'from-matrix' })
  const also = async (tx: Transaction) => {
    await tellLosses(context, tx, portal, result.losses)
    if (portal.state === 'requested') {
      const status = { eventId: stored.eventId, status: 'PENDING' }
      await context.outbox.add(tx, portal.id, 'status', JSON.stringify(status))
      tx.afterCommit(() => context.wake(portal.id))
    }
    if (read.unsigned) await tellOnce(context, tx, portal, 'unsigned-device', words.unsignedDevice())
  }
  return submit(context, portal, stored, result.content, also, { origin })
}

/** Nobody has been asked yet, or consented: the message waits, as its author was told. */
async function holdBack(context: PortalContext, portal: Portal, stored: StoredEvent): Promise<Handled> {
  const { settings, clock } = context
  if (clock() - stored.receivedAt < settings.outboxExpiryMs) return { retryAfterMs: settings.retryMaxMs }
  return refuse(context, portal, stored, refusalWords('not-reachable', 'message', portal.name))
}

interface Plain {
  type: string
  content: Json
  /** Names the encrypted message that it was (Matrix specification, "m.megolm.v1.aes-sha2": replays). */
  origin?: Uint8Array | undefined
  /** Of a device that its owner has not cross-signed: the homeserver can have made it up (MSC4153). */
  unsigned?: boolean
}
type Read = Plain | { retryAfterMs: number } | { placeholder: true } | { said: string }

async function readEvent(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<Read> {
  const { type, content } = stored
  if (type !== 'm.room.encrypted') {
    // Relations that clients send in clear in encrypted rooms too; what people write must not come in clear.
    return type === 'm.room.message' || type === 'm.sticker' ? { said: words.unencrypted() } : { type, content }
  }
  const result = await context.ghosts.decrypt(portal.ghost, portal.matrixRoom, stored.event)
  if (isDecrypted(result)) {
    const unsigned = result.shield.code === 'UnsignedDevice' || result.shield.code === 'UnknownDevice'
    if (unsigned) context.counters.count('faults', { code: 'unsigned-device' })
    const plain = { type: result.type, content: withRelation(result.content, content) }
    return { ...plain, origin: originOf(context, content), unsigned }
  }
  if ('failed' in result) {
    context.counters.count('decryption_failures', { reason: result.failed })
    return { said: words.undecryptable() }
  }
  const left = waitForKey(context.settings, context.clock(), stored, result)
  return left > 0 ? { retryAfterMs: left } : { placeholder: true }
}

/** Session and index of a Megolm message: a byte for the version, then 0x08 and the index as a varint. */
function originOf({ crypto }: PortalContext, { session_id: session, ciphertext }: Json): Uint8Array | undefined {
  if (typeof session !== 'string' || typeof ciphertext !== 'string') return undefined
  const [, tag, ...index] = Buffer.from(ciphertext.slice(0, 16), 'base64')
  if (tag !== 0x08) return undefined
  const end = index.findIndex((byte) => byte < 0x80)
  return crypto.sha256(
    concatBytes(utf8(`silta megolm message\0${session}\0`), Uint8Array.from(index.slice(0, end + 1))),
  )
}

/** The relation may stand outside of what is encrypted only (Matrix specification, m.room.encrypted). */
const withRelation = (content: Json, outer: Json): Json =>
  content['m.relates_to'] === undefined && outer['m.relates_to'] !== undefined
    ? { ...content, 'm.relates_to': outer['m.relates_to'] }
    : content

async function translate(context: PortalContext, portal: OpenPortal, plain: Plain, replaces?: Uint8Array) {
  const target = replyTargetOf(plain.content)
  const inReplyTo = target && (await context.messages.messageOf(context.database, portal.id, target))
  return fromMatrix(plain, { inReplyTo: inReplyTo || undefined, replaces, ...circleOf(portal) })
}

const keyOf = (context: PortalContext, what: string, portal: Portal, eventId: string) =>
  context.crypto.sha256(concatBytes(utf8(`silta matrix ${what}\0${portal.id}\0${eventId}`)))

/** Hands content to the user's device; what the device refuses at once is told in the room. */
async function submit(
  context: PortalContext,
  portal: OpenPortal,
  stored: StoredEvent,
  content: ContentDraft,
  also: (tx: Transaction, messageId: Uint8Array) => Promise<void>,
  note: { origin?: Uint8Array | undefined; reported?: boolean },
): Promise<Handled> {
  const { users, messages } = context
  if (portal.room === undefined) return { retryAfterMs: context.settings.retryMaxMs }
  const { device } = await users.byAccount(portal.account)
  let isNew = false
  try {
    const { accepted } = await device.send(portal.room, content, {
      key: keyOf(context, 'event', portal, stored.eventId),
      async within(device, messageId) {
        const tx = device.application as Transaction
        await messages.add(tx, portal.id, { messageId, eventId: stored.eventId, fromMatrix: true, ...note })
        await also(tx, messageId)
        await context.finishEvent(tx, stored.id)
        isNew = true
      },
    })
    // A later refusal comes as the device's event, which survives a restart.
    const crossed = () =>
      context.timers.observe('crossing', Math.max(0, context.clock() - stored.receivedAt) / 1000, {
        way: 'from-matrix',
      })
    accepted.then(crossed, () => {})
    // The homeserver handed the event over twice, in different transactions.
    return isNew ? 'done' : await finish(context, portal, stored)
  } catch (error) {
    if (!isRefusal(error)) throw error
    context.counters.count('refused', { way: 'from-matrix', code: error.code })
    const said = refusalWords(error.code, 'message', portal.name)
    return refuse(context, portal, stored, said, (tx) => noteRefusal(context, tx, portal.id, error.code))
  }
}

/** The event ends here, and its sender is told why. */
async function refuse(
  context: PortalContext,
  portal: Portal,
  stored: StoredEvent,
  said: string,
  also?: (tx: Transaction) => Promise<void>,
): Promise<Handled> {
  await owned(context, portal.account, async (tx) => {
    await also?.(tx)
    const status = { eventId: stored.eventId, status: 'FAIL_PERMANENT', message: said }
    await context.outbox.add(tx, portal.id, 'status', JSON.stringify(status))
    await context.outbox.add(tx, portal.id, 'notice', said)
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(portal.id))
  })
  return 'done'
}

async function finish(context: PortalContext, portal: Portal, stored: StoredEvent): Promise<Handled> {
  await owned(context, portal.account, (tx) => context.finishEvent(tx, stored.id))
  return 'done'
}

/** A refusal for the person's sake stands in the status until something comes from them, or reaches them, again. */
export async function noteRefusal(context: PortalContext, tx: Transaction, portal: number, code: ClientErrorCode) {
  if (awayCodes.has(code)) await context.portals.noteTold(tx, portal, 'away')
}
const awayCodes: ReadonlySet<ClientErrorCode> = new Set(['not-opted-in', 'not-reachable', 'blocked'])

/** Tells once in each portal what a kind of message loses on its way. */
async function tellLosses(context: PortalContext, tx: Transaction, portal: Portal, losses: readonly Loss[]) {
  for (const loss of losses) {
    const said = lossWords(loss)
    if (said !== undefined) await tellOnce(context, tx, portal, `loss-${loss}`, said)
  }
}

async function tellOnce(context: PortalContext, tx: Transaction, portal: Portal, what: string, said: string) {
  if (!(await context.portals.noteTold(tx, portal.id, what))) return
  await context.outbox.add(tx, portal.id, 'notice', said)
  tx.afterCommit(() => context.wake(portal.id))
}

/**
 * Keys may have come for messages that placeholders stand for: each is put in its placeholder's place.
 *
 * @param author Matrix id of whose messages they are, where a room has several: the portal speaks as one of them
 */
export async function replacePlaceholders(context: PortalContext, portal: OpenPortal, author?: string): Promise<void> {
  const { late, database, ghosts, users } = context
  const all = await late.of(database, portal.id)
  const waiting = author === undefined ? all : all.filter(({ event }) => event.sender === author)
  if (waiting.length === 0 || portal.room === undefined) return
  const { device } = await users.byAccount(portal.account)
  for (const { eventId, placeholder, event } of waiting) {
    const result = await ghosts.decrypt(portal.ghost, portal.matrixRoom, event)
    if ('missingKey' in result) continue
    const outer = (event.content ?? {}) as Json
    const translated = isDecrypted(result)
      ? await translate(
          context,
          portal,
          { type: result.type, content: withRelation(result.content, outer) },
          placeholder,
        )
      : undefined
    const said =
      translated === undefined
        ? words.undecryptable()
        : isRefused(translated)
          ? untranslatableWords(translated.code)
          : undefined
    const done = (tx: Transaction) => late.done(tx, portal.id, eventId)
    const end = (said: string | undefined) =>
      owned(context, portal.account, async (tx) => {
        await done(tx)
        if (said !== undefined) await context.outbox.add(tx, portal.id, 'notice', said)
      })
    if (translated === undefined || !('content' in translated)) {
      await end(said)
      continue
    }
    try {
      const { accepted } = await device.send(portal.room, translated.content, {
        key: keyOf(context, 'late event', portal, eventId),
        async within({ application }) {
          const tx = application as Transaction
          await done(tx)
          await context.outbox.add(tx, portal.id, 'status', JSON.stringify({ eventId, status: 'SUCCESS' }))
        },
      })
      accepted.catch(() => {})
    } catch (error) {
      // The conversation has ended meanwhile, for instance. What else the portal has to do must not wait for this.
      if (!isRefusal(error)) throw error
      await end(refusalWords(error.code, 'message', portal.name))
    }
  }
}
