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
import { type Reason, tellFailure } from './failures.ts'
import type { LateEvent } from './late-events.ts'
import type { OpenPortal, Portal } from './portal-table.ts'
import { type Plain, type ReadEvent, readEvents, replaysAmong, withRelation } from './read-events.ts'
import { lossWords, placeholderText, refusalWords, untranslatableWords, words } from './words.ts'

type Json = Record<string, unknown>

/** What became of stored events: all are finished, or the room waits with the first that is not for so long. */
export type Handled = 'done' | { retryAfterMs: number }

/**
 * Messages of one Matrix user, in order: decrypted as the ghost, translated, and given to their device all together. Its
 * transaction also deletes the stored events. An event's id is the key of its submission, so that a repetition is the
 * same message.
 */
export async function passOn(
  context: PortalContext,
  portal: OpenPortal,
  events: readonly StoredEvent[],
): Promise<Handled> {
  // A conversation that is begun anew still has the room of the last one.
  if (portal.room === undefined || portal.state === 'wanted') return holdBack(context, portal, events)
  const { all, stopped } = await readEvents(context, portal, events)
  const replays = await replaysAmong(context, portal, all)
  let batch: Submission[] = []
  const submitBatch = async () => {
    const taken = batch
    batch = []
    await submit(context, portal, taken)
  }
  for (const one of all) {
    const { stored, read } = one
    const target = 'type' in read ? replyTargetOf(read.content) : undefined
    // What it answers has no message id yet.
    if (batch.some(({ stored }) => stored.eventId === target)) await submitBatch()
    const next = replays.has(one) ? 'nothing' : await submissionOf(context, portal, stored, read)
    if (typeof next === 'object' && 'content' in next) batch.push(next)
    else {
      await submitBatch()
      await (next === 'nothing'
        ? finish(context, portal, stored)
        : refuse(context, portal, stored, () => next.said, next))
    }
  }
  await submitBatch()
  if (stopped instanceof Error) throw stopped
  return stopped ?? 'done'
}

/** What a message's device is given, and what is noted with it. */
interface Submission {
  readonly stored: StoredEvent
  readonly content: ContentDraft
  readonly note: { readonly origin?: Uint8Array | undefined; readonly reported?: boolean }
  also(tx: Transaction, messageId: Uint8Array): Promise<void>
}

async function submissionOf(
  context: PortalContext,
  portal: OpenPortal,
  stored: StoredEvent,
  read: ReadEvent['read'],
): Promise<Submission | { said: string; once?: string | undefined } | 'nothing'> {
  if ('said' in read) return read
  if ('placeholder' in read) return placeholderFor(context, portal, stored)
  const result = await translate(context, portal, read)
  if ('nothing' in result) return 'nothing'
  if (isRefused(result)) {
    context.counters.count('refused', { way: 'from-matrix', code: result.code })
    // Apps send events of their own making by themselves: about these, words are said once.
    const once = result.code === 'unsupported' ? `refused-${result.code}` : undefined
    return { said: untranslatableWords(result.code), once }
  }
  context.counters.count('messages', { way: 'from-matrix' })
  return {
    stored,
    content: result.content,
    note: { origin: read.origin },
    async also(tx) {
      await tellLosses(context, tx, portal, result.losses)
      if (portal.state === 'requested') {
        const status = { eventId: stored.eventId, status: 'PENDING' }
        await context.outbox.add(tx, portal.id, 'status', JSON.stringify(status))
        tx.afterCommit(() => context.wake(portal.id))
      }
      if (read.unsigned) await tellOnce(context, tx, portal, 'unsigned-device', words.unsignedDevice())
    },
  }
}

/** The key has not come: what stands in the message's place until it does. */
function placeholderFor(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Submission {
  context.counters.count('placeholders')
  context.counters.count('decryption_failures', { reason: 'no-key' })
  return {
    stored,
    content: textMessage({ plain: placeholderText }),
    // That the placeholder arrives is not the message's arrival.
    note: { reported: true },
    async also(tx, messageId) {
      const told = (await context.late.of(tx, portal.id)).length > 0
      const late: LateEvent = { eventId: stored.eventId, placeholder: messageId, event: stored.event }
      await context.late.add(tx, portal.id, late)
      const said = words.keyMissing()
      const status = { eventId: stored.eventId, status: 'FAIL_RETRIABLE', message: said }
      await context.outbox.add(tx, portal.id, 'status', JSON.stringify(status))
      if (!told) await context.outbox.add(tx, portal.id, 'notice', said)
      tx.afterCommit(() => context.wake(portal.id))
    },
  }
}

/** Nobody has been asked yet, or consented: the message waits, as its author was told. */
async function holdBack(context: PortalContext, portal: Portal, events: readonly StoredEvent[]): Promise<Handled> {
  const { settings, clock } = context
  for (const stored of events) {
    if (clock() - stored.receivedAt < settings.outboxExpiryMs) return { retryAfterMs: settings.retryMaxMs }
    await refuse(context, portal, stored, (name) => refusalWords('not-reachable', 'message', name))
  }
  return 'done'
}

async function translate(context: PortalContext, portal: OpenPortal, plain: Plain, replaces?: Uint8Array) {
  const target = replyTargetOf(plain.content)
  const inReplyTo = target && (await context.messages.messageOf(context.database, portal.id, target))
  return fromMatrix(plain, { inReplyTo: inReplyTo || undefined, replaces, ...circleOf(portal) })
}

const keyOf = (context: PortalContext, what: string, portal: Portal, eventId: string) =>
  context.crypto.sha256(concatBytes(utf8(`silta matrix ${what}\0${portal.id}\0${eventId}`)))

/**
 * Hands messages to the user's device, all in one transaction. Where it refuses one at once, they go one by one, and that
 * one is told in the room.
 */
async function submit(context: PortalContext, portal: OpenPortal, batch: readonly Submission[]): Promise<void> {
  const [first, ...others] = batch
  if (first === undefined || portal.room === undefined) return
  const { users, messages } = context
  const { device } = await users.byAccount(portal.account)
  const outgoing = batch.map(({ content, stored }) => ({
    content,
    key: keyOf(context, 'event', portal, stored.eventId),
  }))
  /** The homeserver hands an event over twice, in different transactions: that one has its message already. */
  const finishAll = (tx: Transaction) => context.finishEvent(tx, ...batch.map(({ stored }) => stored.id))
  let finished = false
  try {
    const sent = await device.sendAll(portal.room, outgoing, async ({ application }, fresh) => {
      const tx = application as Transaction
      const made = batch.flatMap(({ stored, note, also }, index) => {
        const messageId = fresh[index]
        return messageId ? [{ messageId, eventId: stored.eventId, also, ...note }] : []
      })
      messages.addReceived(tx, portal.id, made)
      for (const { also, messageId } of made) await also(tx, messageId)
      await finishAll(tx)
      finished = true
    })
    if (!finished) await owned(context, portal.account, finishAll)
    // A later refusal comes as the device's event, which survives a restart.
    for (const [index, { accepted }] of sent.entries())
      accepted.then(
        () => noteCrossed(batch[index]!),
        () => {},
      )
  } catch (error) {
    if (!isRefusal(error)) throw error
    if (others.length > 0) {
      for (const one of batch) await submit(context, portal, [one])
      return
    }
    context.counters.count('refused', { way: 'from-matrix', code: error.code })
    await refuse(context, portal, first.stored, (name) => refusalWords(error.code, 'message', name), {
      also: (tx) => noteRefusal(context, tx, portal.id, error.code),
    })
  }

  function noteCrossed({ stored }: Submission) {
    // How long somebody takes to consent says nothing of how fast messages cross.
    const since = Math.max(stored.receivedAt, portal.heldUntil)
    const seconds = Math.max(0, context.clock() - since) / 1000
    context.timers.observe('crossing', seconds, { way: 'from-matrix' })
  }
}

/** The event ends here, and its sender is told why; with `once`, in words only the first time under that name. */
async function refuse(
  context: PortalContext,
  portal: Portal,
  stored: StoredEvent,
  why: Reason,
  { also, once }: { also?: (tx: Transaction) => Promise<void>; once?: string | undefined } = {},
): Promise<void> {
  await owned(context, portal.account, async (tx) => {
    await also?.(tx)
    const inWords = once === undefined || (await context.portals.noteTold(tx, portal.id, once))
    await tellFailure(context, tx, portal, stored.eventId, why, { inWords })
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(portal.id))
  })
}

const finish = (context: PortalContext, portal: Portal, stored: StoredEvent): Promise<void> =>
  owned(context, portal.account, (tx) => context.finishEvent(tx, stored.id))

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
