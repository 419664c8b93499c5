import type { Device, Receipt, StorageTx } from '../../client/index.ts'
import type { AccountAddress, RoomId } from '../../identity/index.ts'
import type { Queryable, Transaction } from '../../store/index.ts'
import type { Json } from '../matrix/homeserver.ts'
import { ghostIn } from './circle.ts'
import { asGhost, type PortalContext } from './context.ts'
import { codeOf, unexpected } from './errors.ts'
import { portalFor, speakerIn } from './groups/speaking.ts'
import type { GroupPortal } from './groups/table.ts'
import { createLatest } from './latest.ts'
import type { OpenPortal } from './portal-table.ts'
import type { MatrixUser } from './users.ts'
import { opened } from './work.ts'

/**
 * Receipts and typing, both ways. What was read is kept until it is told, the newest of each reader in the place of those
 * before; who types is passed on at once or not at all.
 */
export function passSignals(context: PortalContext, user: MatrixUser): void {
  const { account, device } = user
  /** Of a group all devices of the edge hear the same: one speaks. */
  const spokenFor = async (on: Queryable, room: RoomId) => {
    const group = await context.groups.byRoom(on, room)
    if (group === undefined || group.ended) return undefined
    return (await speakerIn(context, on, group)) === account ? group : undefined
  }
  const portalOf = async (room: RoomId): Promise<OpenPortal | undefined> => {
    const direct = await context.portals.byRoom(context.database, account, room)
    if (direct) return opened(context, direct)
    const group = await spokenFor(context.database, room)
    return group?.matrixRoom === undefined ? undefined : portalFor(context, group, user)
  }
  device.on('receipt', async (receipt: Receipt, tx: StorageTx) => {
    const [newest] = receipt.messageIds.slice(-1)
    if (receipt.status !== 'read' || receipt.own || newest === undefined) return
    const sql = tx.application as Transaction
    const portal = (await context.portals.byRoom(sql, account, receipt.room)) ?? (await spokenFor(sql, receipt.room))
    if (portal === undefined) return
    await sql.query(
      `insert into portal_read (portal, account, message_id) values ($1, $2, $3)
        on conflict (portal, account) do update set message_id = excluded.message_id`,
      [portal.id, receipt.account, newest],
    )
    sql.afterCommit(() => context.wake(portal.id))
  })
  device.on('typing', ({ room, account: who, on }) => void showTyping(context, () => portalOf(room), who, on))
}

/** How long Matrix shows somebody as typing who does not stop; the messenger's device says when they do. */
const typingMs = 60_000

async function showTyping(
  context: PortalContext,
  find: () => Promise<OpenPortal | undefined>,
  who: AccountAddress,
  on: boolean,
): Promise<void> {
  try {
    const portal = await find()
    const ghost = portal?.state === 'open' ? ghostIn(context, portal, who) : undefined
    if (portal === undefined || ghost === undefined) return
    await context.homeserver.setTyping(await asGhost(context, ghost), portal.matrixRoom, on, typingMs)
  } catch (error) {
    notPassedOn(context, 'typing', error)
  }
}

/** It is not tried again: the next one stands for it. That one was not taken is no fault of ours; anything else is. */
function notPassedOn(context: PortalContext, what: 'typing' | 'receipt', error: unknown): void {
  if (codeOf(error) === unexpected) context.fault(error, 'typing or a receipt could not be passed on')
  context.counters.count('dropped', { what })
}

/** Rooms in which it is remembered who types; the others are of no use to a person. */
const mostTyping = 1000
/** Events of one transaction, and parts of one event, that are looked at: a transaction has a hundred. */
const mostEvents = 200
/** Rooms whose typing, and readers whose receipts wait to be taken in: minutes of a busy homeserver. Others are dropped. */
const mostWaiting = 5_000
/** Rooms and readers that are looked at together. */
const atOnce = 8
/** How often, and after what pause, a receipt is looked at again whose reader has no device in the room yet. */
const mostAttempts = 10
const attemptMs = 1_000
/** Somebody who types is told of again this often, and given up when the homeserver does not say for so long that they stopped. */
const renewMs = 4_000
const longestMs = 2 * typingMs

/** Up to where a Matrix user has read. */
interface Read {
  readonly matrixRoom: string
  readonly mxid: string
  readonly eventId: string
  /** How often it was looked at in vain. */
  readonly attempt: number
}

export interface FromMatrixSignals {
  /** Typing and receipts of one appservice transaction (Application Service API, "Pushing ephemeral data"). */
  take(events: readonly Record<string, unknown>[]): void
  /** Resolves when nothing of it is under way. */
  idle(): Promise<void>
  stop(): void
}

/** What Matrix users type and read, for their devices of the messenger to say. */
export function signalsFromMatrix(context: PortalContext): FromMatrixSignals {
  const typing = new Map<string, { device: Device; room: RoomId; timer: NodeJS.Timeout; since: number }>()
  /** What was read by somebody whom no device speaks for yet. */
  const unheard = new Map<string, NodeJS.Timeout>()
  const bounds = (what: 'typing' | 'receipt') => ({
    ...{ most: mostWaiting, atOnce },
    onFault: (error: unknown) => notPassedOn(context, what, error),
  })
  /** Who types in a room, and up to where somebody has read in it: what was said before counts no more. */
  const typists = createLatest<ReadonlySet<string>>({ ...bounds('typing'), work: (room, now) => takeTyping(room, now) })
  const receipts = createLatest<Read>({ ...bounds('receipt'), work: (key, read) => takeRead(key, read) })
  const dropped = (what: 'typing' | 'receipt') => context.counters.count('dropped', { what })

  const stopTyping = (key: string, tell: boolean) => {
    const found = typing.get(key)
    if (found === undefined) return
    clearInterval(found.timer)
    typing.delete(key)
    if (tell) found.device.typing(found.room, false).catch(() => undefined)
  }
  const startTyping = (key: string, device: Device, room: RoomId) => {
    if (typing.has(key) || typing.size >= mostTyping) return
    const since = performance.now()
    const timer = setInterval(() => {
      if (performance.now() - since > longestMs) stopTyping(key, true)
      else device.typing(room).catch(() => stopTyping(key, false))
    }, renewMs)
    timer.unref()
    typing.set(key, { device, room, timer, since })
    device.typing(room).catch(() => undefined)
  }

  const inGroup = async (group: GroupPortal, mxid: string): Promise<OpenPortal | undefined> => {
    const account = await context.users.accountOf(mxid)
    const user = account && (await context.users.byAccount(account))
    const info = user && group.room && (await user.device.room(group.room))
    return user && info?.joined && info.standing === 'accepted' ? portalFor(context, group, user) : undefined
  }

  /** The device that speaks for a Matrix user in a room, when the portal is open. */
  const speaker = async (matrixRoom: string, mxid: string) => {
    const { portals, groups, users, database } = context
    const found = await portals.byMatrixRoom(database, matrixRoom)
    const group = found ? undefined : await groups.byMatrixRoom(database, matrixRoom)
    const portal = found ? await opened(context, found) : group && !group.ended && (await inGroup(group, mxid))
    if (!portal || portal.room === undefined || portal.state !== 'open' || portal.mxid !== mxid) return undefined
    const { device } = await users.byAccount(portal.account)
    return { device, room: portal.room, portal }
  }

  const takeTyping = async (matrixRoom: string, now: ReadonlySet<string>) => {
    for (const key of [...typing.keys()])
      if (key.startsWith(`${matrixRoom} `) && !now.has(key.slice(matrixRoom.length + 1))) stopTyping(key, true)
    for (const mxid of now) {
      const found = await speaker(matrixRoom, mxid)
      if (found) startTyping(`${matrixRoom} ${mxid}`, found.device, found.room)
    }
  }

  const takeRead = async (key: string, read: Read): Promise<void> => {
    const found = await speaker(read.matrixRoom, read.mxid)
    if (found === undefined) return later(key, read)
    const messageId = await readUpTo(context, found.portal, read.eventId)
    if (messageId !== undefined) await found.device.markRead(found.room, messageId)
  }
  /** Who has just come reads at once, while their coming is still being taken in. */
  const later = (key: string, read: Read): void => {
    if (receipts.has(key) || read.attempt >= mostAttempts) return
    if (unheard.size >= mostTyping) {
      dropped('receipt')
      return
    }
    const timer = setTimeout(() => {
      unheard.delete(key)
      if (!receipts.put(key, { ...read, attempt: read.attempt + 1 })) dropped('receipt')
    }, attemptMs)
    timer.unref()
    unheard.set(key, timer)
  }
  const readTo = (matrixRoom: string, mxid: string, eventId: string) => {
    const key = `${matrixRoom} ${mxid}`
    clearTimeout(unheard.get(key))
    unheard.delete(key)
    if (!receipts.put(key, { matrixRoom, mxid, eventId, attempt: 0 })) dropped('receipt')
  }

  const takeEvent = ({ type, room_id: room, content }: Record<string, unknown>) => {
    if (typeof room !== 'string' || !isObject(content)) return
    if (type === 'm.typing') {
      const users = Array.isArray(content.user_ids) ? content.user_ids.slice(0, mostEvents) : []
      const theirs = users.filter((user): user is string => typeof user === 'string' && !context.isOurs(user))
      if (!typists.put(room, new Set(theirs))) dropped('typing')
    } else if (type === 'm.receipt') {
      for (const [eventId, kinds] of Object.entries(content).slice(0, mostEvents)) {
        const readers = isObject(kinds) ? kinds['m.read'] : undefined
        if (!isObject(readers)) continue
        for (const mxid of Object.keys(readers).slice(0, mostEvents))
          if (!context.isOurs(mxid)) readTo(room, mxid, eventId)
      }
    }
  }

  return {
    take(events) {
      for (const event of events.slice(0, mostEvents)) takeEvent(event)
    },
    async idle() {
      await typists.idle()
      await receipts.idle()
    },
    stop() {
      typists.stop()
      receipts.stop()
      for (const key of [...typing.keys()]) stopTyping(key, false)
      for (const timer of unheard.values()) clearTimeout(timer)
      unheard.clear()
    },
  }
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * The message that a reader has seen, by the event that their receipt names. Clients name the last event of the timeline,
 * which can be a notice or a state: then it is the newest message of the messenger that was there when that was written.
 */
async function readUpTo(context: PortalContext, portal: OpenPortal, eventId: string): Promise<Uint8Array | undefined> {
  const { database, messages, homeserver } = context
  const found = await database.query<{ message_id: Uint8Array; from_matrix: boolean }>(
    'select message_id, from_matrix from portal_message where portal = $1 and event_id = $2',
    [portal.id, eventId],
  )
  if (found[0]?.from_matrix === false) return messages.messageOf(database, portal.id, eventId)
  const event = await homeserver.getEvent(await asGhost(context, portal.ghost), portal.matrixRoom, eventId)
  const at = event?.origin_server_ts
  if (typeof at !== 'number' || !Number.isSafeInteger(at)) return undefined
  const [newest] = await database.query<{ message_id: Uint8Array }>(
    `select message_id from portal_message
      where portal = $1 and not from_matrix and created_at <= $2 order by created_at desc limit 1`,
    [portal.id, at],
  )
  return newest?.message_id
}
