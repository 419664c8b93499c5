import type { Device, PostureChange, ReceivedMessage, Refusal, Room, StorageTx } from '../../client/index.ts'
import { ContentError, encodeContent, readOutcome, readProfile, readStatus } from '../../content/index.ts'
import type { AccountAddress, RoomId } from '../../identity/index.ts'
import { gathered, type Transaction } from '../../store/index.ts'
import { owned, type PortalContext } from './context.ts'
import { departLater } from './departures.ts'
import { tellFailure } from './failures.ts'
import { noteRefusal } from './from-matrix.ts'
import type { Ending, Portal, PortalChange, PortalState } from './portal-table.ts'
import { blockedOutcome } from './reports.ts'
import type { MatrixUser } from './users.ts'
import { outcomeWords, refusalWords, words } from './words.ts'

/** What a room of a Matrix user's device means for its portal. */
export function stateOf(room: Pick<Room, 'standing' | 'answered' | 'inviter' | 'otherStanding'>): {
  state: PortalState
  ending?: Ending
} {
  const { standing, otherStanding } = room
  if (standing === 'left') return { state: 'ended', ending: 'left-here' }
  if (standing === 'declined') return { state: 'ended', ending: 'declined-here' }
  if (otherStanding === 'declined') return { state: 'ended', ending: 'declined-there' }
  if (otherStanding === 'left') return { state: 'ended', ending: 'left-there' }
  if (standing === 'requested') return { state: 'offered' }
  // Whoever made a room has accepted it; of a room that we made, the other has to say so.
  return { state: room.inviter !== undefined || room.answered || otherStanding === 'accepted' ? 'open' : 'requested' }
}

/**
 * Listens to a Matrix user's device. What is to reach Matrix is put into the portal's outbox in the very transaction that
 * stores the device's new state and place in the log, so nothing is lost and nothing comes twice.
 */
export function listenToDevice(context: PortalContext, { account, device }: MatrixUser): void {
  const { portals, outbox, messages } = context

  /** Portals whose other side is heard of in a transaction; it is there after all. */
  const notAway = gathered<Set<number>>(
    () => new Set(),
    async (sql, heard) => {
      for (const portal of heard) portals.unnoteTold(sql, portal, 'away')
    },
  )

  /** The portal that a transaction has come to; read anew when something of it was changed. */
  const found = new WeakMap<Transaction, Portal>()
  /** Runs for the room's portal, if it has one, in the device's transaction. */
  const inPortal = async (tx: StorageTx, room: RoomId, work: (sql: Transaction, portal: Portal) => Promise<void>) => {
    const sql = tx.application as Transaction
    const known = found.get(sql)
    const portal = known?.room === room ? known : await portals.byRoom(sql, account, room)
    if (portal === undefined) return
    if (portal !== known) sql.afterCommit(() => context.wake(portal.id))
    found.set(sql, portal)
    await work(sql, portal)
  }

  device.on('room', (room, tx) => {
    const sql = tx.application as Transaction
    found.delete(sql)
    return roomChanged(context, account, room, sql)
  })

  device.on('message', (message, tx) => {
    if (message.roomKind !== 'direct') return
    return inPortal(tx, message.room, async (sql, portal) => {
      // The portal speaks for its two and for nobody else, whoever else may have got into the group.
      if (message.own || message.sender !== portal.peer) return
      notAway(sql).add(portal.id)
      await take(context, sql, portal, message, () => found.delete(sql))
    })
  })

  // A commit whose answer was lost has woken nobody.
  device.on('repeated', ({ room }, tx) => inPortal(tx, room, async () => {}))

  device.on('posture', ({ room, posture }: PostureChange, tx) =>
    inPortal(tx, room, async (sql, portal) => {
      // The first one is owed to whoever asked until they come in (work.ts).
      const owed = portal.state === 'requested' && portal.posture === undefined
      if (owed && !(await outbox.has(sql, portal.id, 'posture'))) return
      await outbox.add(sql, portal.id, 'posture', JSON.stringify(posture))
    }),
  )

  device.on('refused', ({ room, messageId, error }: Refusal, tx) => {
    if (room === undefined || messageId === undefined) return
    return inPortal(tx, room, async (sql, portal) => {
      context.counters.count('refused', { way: 'from-matrix', code: error.code })
      const eventId = await messages.eventOf(sql, portal.id, messageId)
      // A report of ours that was refused is nobody's message.
      if (eventId === undefined) return
      await noteRefusal(context, sql, portal.id, error.code)
      await tellFailure(context, sql, portal, eventId, (name) => refusalWords(error.code, 'message', name))
    })
  })

  const tell = (event: 'undecryptable' | 'gap' | 'keyChanged', said: () => string) =>
    device.on(event, ({ room }: { room: RoomId }, tx: StorageTx) =>
      inPortal(tx, room, async (sql, portal) => await outbox.add(sql, portal.id, 'notice', said())),
    )
  tell('undecryptable', words.lost)
  tell('gap', words.gap)
  tell('keyChanged', words.keyChanged)

  device.on('consent', ({ account: peer, state }) => consentChanged(context, { account, device }, peer, state))
  device.on('fault', (error) => context.fault(error, 'the device of a Matrix user had a fault'))
}

/** A room is new, or what somebody said of it changed: the portal follows, in the device's transaction. */
async function roomChanged(context: PortalContext, account: AccountAddress, room: Room, sql: Transaction) {
  const { portals } = context
  if (room.kind !== 'direct' || room.other === undefined) return
  const { state, ending } = stateOf(room)
  const pair = { account, peer: room.other }
  const before = (await portals.byRoom(sql, account, room.id)) ?? (await portals.byPair(sql, account, room.other))
  // A room that was over before there was a portal is no business of Matrix.
  if (before === undefined && state === 'ended') return
  // Whatever the other one does: the room is looked at when the block is over.
  if (before?.room === room.id && before.endedBecause === 'blocked-here') return
  // An ended room that another one has followed.
  if (before?.room !== undefined && before.room !== room.id && state === 'ended') return
  const fresh = before === undefined || before.state === 'ended' || before.room !== room.id
  const change: PortalChange = { room: room.id, state, endedBecause: ending }
  if (fresh && state === 'offered' && before?.matrixRoom !== undefined) {
    // To join is to accept, so a new request needs a new invitation: the ghost has not left the last room yet.
    Object.assign(change, { matrixRoom: undefined, userIn: false })
    const { ghost, matrixRoom } = before
    if (ghost !== undefined) await departLater(sql, before.id, ghost, matrixRoom)
  }
  if (fresh && state === 'ended' && before?.state === 'ended') return
  const after = await portals.upsert(sql, pair, state, change)
  if (before?.state === 'requested' && state === 'open') {
    await context.outbox.add(sql, after.id, 'notice', words.accepted(after.name))
  }
  if (before !== undefined && before.state !== 'ended' && ending !== undefined && !ending.endsWith('-here')) {
    await context.outbox.add(sql, after.id, 'notice', words.ended(ending, after.name))
  }
  sql.afterCommit(() => context.wake(after.id))
}

/** One message: for people it goes into the outbox as it came; what devices say to each other is taken here. */
async function take(
  context: PortalContext,
  sql: Transaction,
  portal: Portal,
  message: ReceivedMessage,
  changed: () => void,
) {
  const { outbox, messages, portals } = context
  try {
    const profile = readProfile(message.content)
    if (profile !== undefined) {
      // Kept, and shown once the Matrix user has accepted: until then a stranger has no name.
      const name = profile.name?.replace(/[\p{C}\s]+/gu, ' ').trim()
      if (name) await portals.update(sql, portal.id, { peerName: name })
      changed()
      return
    }
    const outcome = readOutcome(message.content)
    if (outcome !== undefined) {
      const eventId = await messages.eventOf(sql, portal.id, outcome.messageId)
      const say = outcomeWords(outcome.outcome)
      if (eventId !== undefined && say !== undefined) await tellFailure(context, sql, portal, eventId, say)
      return
    }
    const report = readStatus(message.content)
    if (report !== undefined) {
      const reached = report.filter(({ status }) => status === 'delivered' || status === 'read')
      for (const { messageId } of reached.slice(-reportedAtOnce)) {
        // Once for each message, however many devices report it, and however often.
        const eventId = await messages.tellArrived(sql, portal.id, messageId)
        if (eventId !== undefined)
          await outbox.add(sql, portal.id, 'status', JSON.stringify({ eventId, status: 'SUCCESS' }))
      }
      return
    }
    if (portal.endedBecause === 'blocked-here')
      return await outbox.hold(sql, portal.id, { messageId: message.messageId, ...blockedOutcome })
    await outbox.add(sql, portal.id, 'message', encodeContent(message.content), message.messageId)
    context.counters.count('messages', { way: 'to-matrix' })
  } catch (error) {
    if (!(error instanceof ContentError)) throw error
    context.fault(error, 'what a device of the messenger has sent cannot be read')
  }
}

/** A report of more messages than this tells of the newest only: each becomes an event on Matrix. */
const reportedAtOnce = 3

/** The account that was asked for consent has answered. */
async function consentChanged(
  context: PortalContext,
  { account }: { account: AccountAddress; device: Device },
  peer: AccountAddress,
  state: 'requested' | 'granted' | 'denied',
) {
  if (state === 'requested') return
  const { portals, outbox } = context
  await owned(context, account, async (tx) => {
    // What is asked and what is noted are one: the portal may go on, or end, at the same moment.
    const portal = await portals.byPair(tx, account, peer)
    if (portal?.state !== 'wanted') return
    tx.afterCommit(() => context.wake(portal.id))
    if (state !== 'denied') return
    await portals.update(tx, portal.id, { state: 'ended', endedBecause: 'declined-there' })
    await outbox.add(tx, portal.id, 'notice', words.ended('declined-there', portal.name))
  })
}
