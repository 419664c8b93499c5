import type { Device, ReceivedMessage, Refusal, StorageTx } from '../../../client/index.ts'
import { ContentError, encodeContent, readOutcome, readProfile, readStatus } from '../../../content/index.ts'
import type { AccountAddress, RoomId } from '../../../identity/index.ts'
import type { Transaction } from '../../../store/index.ts'
import type { PortalContext } from '../context.ts'
import { unfinished } from '../unfinished.ts'
import type { MatrixUser } from '../users.ts'
import { outcomeWords, refusalWords, words } from '../words.ts'
import { speakerIn } from './speaking.ts'
import type { GroupPortal } from './table.ts'
import type { Add } from './turns.ts'

/**
 * Listens to a Matrix user's device for its groups. All of the edge's devices in a group read the same log; what stands at a
 * place in it is taken for the portal once, in the transaction of the device that reads it (turns.ts). So each message is
 * relayed once, in the log's order, as long as any of them is there to read.
 */
export function listenToGroups(context: PortalContext, { account, device }: MatrixUser): void {
  const { groups, outbox, messages, turns } = context

  /** Runs for the group's portal in the device's transaction. */
  const inGroup = async (
    tx: StorageTx,
    room: RoomId,
    work: (sql: Transaction, group: GroupPortal) => Promise<void>,
  ): Promise<void> => {
    const sql = tx.application as Transaction
    const group = await groups.byRoom(sql, room)
    if (group === undefined || group.ended) return
    await work(sql, group)
    sql.afterCommit(() => context.wake(group.id))
  }

  const at = ({ id, seq: known }: GroupPortal, seq: number) => ({ portal: id, account, seq, known })
  /** Something that the next work on the group has to look at, whenever that is. */
  const look = (tx: StorageTx, room: RoomId) => inGroup(tx, room, (sql, { id }) => groups.note(sql, id))

  device.on('room', async ({ id, kind, joined, standing, cursor }, tx) => {
    if (kind !== 'group') return
    const sql = tx.application as Transaction
    if (!joined || standing === 'left' || standing === 'declined') {
      const group = await groups.byRoom(sql, id)
      if (group !== undefined) await turns.leave(sql, group.id, account)
      return look(tx, id)
    }
    const portal = await groups.ensure(sql, { room: id })
    await turns.enter(sql, portal, account, cursor)
    await context.portals.update(sql, portal, { state: 'open' })
    await look(tx, id)
  })

  // A commit whose answer was lost has woken nobody.
  device.on('repeated', ({ room }, tx) => inGroup(tx, room, async () => {}))

  device.on('message', (message, tx) => {
    if (message.roomKind !== 'group') return
    return inGroup(tx, message.room, async (sql, group) => {
      await turns.take(sql, at(group, message.seq), async (add) => {
        // What comes from Matrix is there already, whoever's device it went through.
        if ((await context.users.mxidOf(sql, message.sender)) !== undefined) return
        await take(context, sql, group, message, add)
      })
    })
  })

  device.on('group', ({ room, seq, left, removed }, tx) =>
    inGroup(tx, room, async (sql, group) => {
      await turns.take(sql, at(group, seq), async (add) => {
        await add('members', '')
        for (const gone of [...left, ...removed]) {
          const mxid = (await context.users.mxidOf(sql, gone)) ?? ''
          if (!group.state.leaving[mxid]) continue
          await groups.change(sql, group.id, (state) => {
            const { [mxid]: _, ...leaving } = state.leaving
            return { ...state, leaving }
          })
        }
      })
    }),
  )

  device.on('posture', ({ room }, tx) => look(tx, room))

  device.on('refused', ({ room, messageId, error }: Refusal, tx) => {
    if (room === undefined || messageId === undefined) return
    return inGroup(tx, room, async (sql, group) => {
      context.counters.count('refused', { way: 'from-matrix', code: error.code })
      const eventId = await messages.eventOf(sql, group.id, messageId)
      if (eventId === undefined) return
      const said = refusalWords(error.code, 'message')
      await outbox.add(sql, group.id, 'status', JSON.stringify({ eventId, status: 'FAIL_PERMANENT', message: said }))
      await outbox.add(sql, group.id, 'notice', said)
    })
  })

  // What one device cannot read, or has missed, may be well with another: it is told where it is with none.
  device.on('undecryptable', ({ room, seq }, tx) =>
    inGroup(tx, room, async (sql, { id }) => {
      if (await turns.cannotRead(sql, id, account, seq)) await outbox.add(sql, id, 'notice', words.lost())
    }),
  )
  device.on('gap', ({ room, seq }, tx) =>
    inGroup(tx, room, (sql, { id }) => turns.enter(sql, id, account, seq - 1, true)),
  )
  device.on('unlinked', () => unlinked(context, account))
  device.on('keyChanged', ({ room, account: changed }, tx) =>
    inGroup(tx, room, async (sql, group) => {
      if ((await speakerIn(context, sql, group)) === account)
        await outbox.add(sql, group.id, 'notice', words.memberKeyChanged(group.state.names[changed]))
    }),
  )

  device.on('consent', ({ account: peer, state }) => consentAnswered(context, { account, device }, peer, state))
  device.on('caughtUp', async () => {
    for (const id of await unfinished(context.database, { account })) context.wake(id)
  })
}

/** One message of the messenger: for people it goes into the outbox as it came; what devices say to each other is taken here. */
async function take(
  context: PortalContext,
  sql: Transaction,
  group: GroupPortal,
  message: ReceivedMessage,
  add: Add,
): Promise<void> {
  const { groups, messages } = context
  const { content, sender, messageId } = message
  try {
    const profile = readProfile(content)
    if (profile !== undefined) {
      const name = profile.name?.replace(/[\p{C}\s]+/gu, ' ').trim()
      if (!name || group.state.names[sender] === name) return
      return groups.change(sql, group.id, (state) => ({ ...state, names: { ...state.names, [sender]: name } }))
    }
    const outcome = readOutcome(content)
    if (outcome !== undefined) {
      const eventId = await messages.eventOf(sql, group.id, outcome.messageId)
      const say = outcomeWords(outcome.outcome)
      if (eventId !== undefined && say !== undefined) await add('notice', say(group.state.names[sender]))
      return
    }
    const report = readStatus(content)
    if (report !== undefined) {
      const reached = report.filter(({ status }) => status === 'delivered' || status === 'read')
      for (const { messageId } of reached.slice(-reportedAtOnce)) {
        const eventId = await messages.tellArrived(sql, group.id, messageId)
        if (eventId !== undefined) await add('status', JSON.stringify({ eventId, status: 'SUCCESS' }))
      }
      return
    }
    if ((await messages.eventOf(sql, group.id, messageId)) !== undefined) return
    await add('message', encodeContent({ ...content, sender }), messageId)
    context.counters.count('messages', { way: 'to-matrix' })
  } catch (error) {
    if (!(error instanceof ContentError)) throw error
    context.fault(error, 'what a device of the messenger has sent cannot be read')
  }
}

/** A report of more messages than this tells of the newest only: each becomes an event on Matrix. */
const reportedAtOnce = 20

/** Somebody of the messenger has answered whether they want to be added by this Matrix user. */
async function consentAnswered(
  context: PortalContext,
  { account }: { account: AccountAddress; device: Device },
  peer: AccountAddress,
  answer: 'requested' | 'granted' | 'denied',
): Promise<void> {
  if (answer === 'requested') return
  const { groups, database, ghosts } = context
  const ghost = await ghosts.ghostOf(peer)
  if (ghost === undefined) return
  for (const id of await groups.ofAccount(database, account)) {
    await database.transaction(async (tx) => {
      context.users.check(tx, account)
      await groups.change(tx, id, (state) => {
        const asked = state.asked[ghost]
        if (asked?.by !== account) return state
        return { ...state, asked: { ...state.asked, [ghost]: { ...asked, answer } } }
      })
    })
    context.wake(id)
  }
}

/** The device reads nothing any more: what others have read need not wait for it. */
async function unlinked({ database, groups, turns, wake }: PortalContext, account: AccountAddress): Promise<void> {
  for (const id of await groups.ofAccount(database, account)) {
    await database.transaction((tx) => turns.leave(tx, id, account))
    wake(id)
  }
}
