/**
 * Portals: a messenger room and a Matrix room that are one conversation.
 *
 * This room knows devices of the messenger (the client SDK), ghosts, and its own tables. It knows no hub and no Olm
 * machine. Plaintext exists here only between opening one side's ciphertext and making the other's, and sealed in the
 * outbox. Whatever has to happen together is one transaction; what leaves the process was stored before.
 */
import type { AccountAddress } from '../../identity/index.ts'
import { openFaultLog } from '../../ops/index.ts'
import type { StoredEvent } from '../matrix/appservice.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import type { PortalContext } from './context.ts'
import { codeOf } from './errors.ts'
import { takeEvents } from './feed.ts'
import { listenToDevice } from './from-messenger.ts'
import { takeGroupEvents } from './groups/feed.ts'
import { listenToGroups } from './groups/listen.ts'
import { groupTable } from './groups/table.ts'
import { turns } from './groups/turns.ts'
import { lateEvents } from './late-events.ts'
import { ghostInvited } from './members.ts'
import { messageMap } from './message-map.ts'
import { type Beginning, beginPortal } from './opening.ts'
import { outboxTable } from './outbox-table.ts'
import { portalTable } from './portal-table.ts'
import { createRunner } from './runner.ts'
import { passSignals, signalsFromMatrix } from './signals.ts'
import { overdue, unfinished } from './unfinished.ts'
import type { MatrixUser } from './users.ts'
import { workOn } from './work.ts'

export { endByBlock, takeUpAgain } from './blocks.ts'
export type { PortalContext } from './context.ts'
export { elapsed } from './elapsed.ts'
export { codeOf } from './errors.ts'
export { holdLeases } from './leases.ts'
export { waitForKey } from './missing-key.ts'
export type { Portal } from './portal-table.ts'
export { openRate } from './rates.ts'
export { sayInRoom } from './say.ts'
export { defaultPortalSettings, type PortalSettings } from './settings.ts'
export { type MatrixUser, matrixUsers } from './users.ts'
export { refusalWords } from './words.ts'

export interface Portals {
  readonly context: PortalContext
  /** To be called for each device before it starts. */
  listen(user: MatrixUser): void
  /** A Matrix user begins a conversation with a messenger account. */
  begin(user: MatrixUser, peer: AccountAddress): Promise<Beginning>
  /** Events of one Matrix room, our own too, in order; undefined when the room is no group's. */
  takeGroupEvents(room: string, events: readonly StoredEvent[]): ReturnType<Portals['takeEvents']>
  /** Events of one Matrix room, in order; undefined when the room is no portal's of two. */
  takeEvents(room: string, events: readonly StoredEvent[]): Promise<{ taken: true; retryAfterMs?: number } | undefined>
  /** A ghost was invited into a room that is no portal's. */
  invited(ghost: GhostId, peer: AccountAddress, event: StoredEvent): Promise<void>
  /** Typing and receipts of one appservice transaction. */
  ephemeral(events: readonly Record<string, unknown>[]): void
  /** A room key came for a ghost. */
  keyCame(matrixRoom: string): Promise<void>
  /** Takes up everything that was under way. */
  start(): Promise<void>
  /** Resolves when nothing runs and nothing is due. */
  idle(): Promise<void>
  stop(): Promise<void>
}

export type PortalsOptions = Omit<
  PortalContext,
  'portals' | 'groups' | 'turns' | 'outbox' | 'messages' | 'late' | 'wake' | 'fault'
>

export function openPortals(options: PortalsOptions): Portals {
  const { database, sealer, clock, settings, log } = options
  /** Portals whose placeholders are to be looked at again. */
  const keysCame = new Set<number>()
  const runner = createRunner({
    async work(id) {
      const came = keysCame.delete(id)
      try {
        await workOn(context, id, came)
      } catch (error) {
        if (came) keysCame.add(id)
        throw error
      }
      return undefined
    },
    atOnce: settings.portalsAtOnce,
    retryMs: settings.retryMs,
    retryMaxMs: settings.retryMaxMs,
    onFault: (error) => faulty(error),
  })
  const faulty = (error: unknown) => context.fault(error, 'a portal could not go on and is tried again')
  const told = openFaultLog((fields, message) => log.warn(fields, message))
  let started = false
  let expiring: ReturnType<typeof setInterval> | undefined
  const expire = async () => {
    await context.late.expire(database, settings.lateKeyMs)
    // Nothing else wakes a portal whose Matrix user has not come in.
    for (const id of await overdue(database, clock() - settings.outboxExpiryMs)) runner.wake(id)
  }
  const outbox = outboxTable(sealer, clock)
  const context: PortalContext = {
    ...options,
    portals: portalTable(sealer, clock),
    groups: groupTable(sealer, clock),
    outbox,
    turns: turns(outbox),
    messages: messageMap(clock),
    late: lateEvents(sealer, clock),
    wake: (portal) => runner.wake(portal),
    fault(error, message) {
      const code = codeOf(error)
      context.counters.count('faults', { code })
      told(code, { code, error }, message)
    },
  }
  const signals = signalsFromMatrix(context)
  return {
    context,
    listen(user) {
      listenToDevice(context, user)
      listenToGroups(context, user)
      passSignals(context, user)
      // A device that comes later was another process', which may have left things in the middle.
      if (started)
        void unfinished(database, { account: user.account })
          .then((ids) => ids.forEach(runner.wake))
          .catch(faulty)
    },
    begin: (user, peer) => beginPortal(context, user, peer),
    takeEvents: (room, events) => takeEvents(context, room, events),
    takeGroupEvents: (room, events) => takeGroupEvents(context, room, events),
    invited: (ghost, peer, event) => ghostInvited(context, ghost, peer, event),
    ephemeral: signals.take,
    async keyCame(matrixRoom) {
      context.wakeRoom(matrixRoom)
      const { portals, groups } = context
      const direct = await portals.byMatrixRoom(database, matrixRoom)
      const portal = direct ?? (await groups.byMatrixRoom(database, matrixRoom))
      if (portal === undefined) return
      keysCame.add(portal.id)
      runner.wake(portal.id)
    },
    async start() {
      started = true
      await expire()
      expiring = setInterval(() => void expire().catch(faulty), settings.expireEveryMs)
      expiring.unref()
      for (const id of await context.late.portals(database)) keysCame.add(id)
      const left = await unfinished(database, { askedSince: clock() - settings.askedMs })
      for (const id of [...keysCame, ...left]) runner.wake(id)
    },
    async idle() {
      await signals.idle()
      await runner.idle()
    },
    async stop() {
      clearInterval(expiring)
      signals.stop()
      await signals.idle()
      await runner.stop()
    },
  }
}
