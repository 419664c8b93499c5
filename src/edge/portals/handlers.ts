import type { AppserviceHandlers, StoredEvent } from '../matrix/appservice.ts'
import type { Bot } from '../matrix/bot.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import { isHomeserverError } from '../matrix/homeserver.ts'
import { asGhost } from './context.ts'
import { groupTypes } from './groups/state.ts'
import type { Portals } from './index.ts'
import { openInvitations } from './invitations.ts'
import { answerForNobody } from './nobody.ts'

export interface EventHandlerOptions {
  readonly portals: Portals
  readonly bot: Bot
  readonly botMxid: string
}

/** Types of state that a portal or the bot acts on. */
const actedOn: ReadonlySet<string> = new Set(['m.room.member', 'm.room.tombstone'])

const isInvitation = ({ type, stateKey, content }: StoredEvent) =>
  type === 'm.room.member' && stateKey !== undefined && content.membership === 'invite'

/** Hands each room's events to whoever talks there: a portal, or the bot. Rooms of nobody are left alone. */
export function eventHandlers({
  portals,
  bot,
  botMxid,
}: EventHandlerOptions): Required<Pick<AppserviceHandlers, 'wants' | 'onEvents' | 'timeline'>> {
  const { context } = portals
  const forNobody = answerForNobody(context)
  const invitations = openInvitations(context)
  const finish = (stored: StoredEvent) => context.database.transaction((tx) => context.finishEvent(tx, stored.id))

  /** An event of a room that is nobody's yet: only an invitation of one of ours means anything. */
  const first = async (stored: StoredEvent): Promise<void> => {
    const { stateKey, sender } = stored
    if (!isInvitation(stored) || stateKey === undefined || context.isOurs(sender)) return finish(stored)
    if (stateKey === botMxid) return bot.invited(stored)
    const peer = await context.ghosts.accountOf(stateKey)
    if (peer !== undefined) return portals.invited(stateKey as GhostId, peer, stored)
    if (context.isOurs(stateKey)) await forNobody(stored)
    await finish(stored)
  }

  /** Our own are told to groups only, which see by them that what they did is so. */
  const finishOwn = async (events: readonly StoredEvent[]): Promise<boolean> => {
    const own = events.filter(({ sender }) => context.isOurs(sender))
    for (const stored of own) await finish(stored)
    return own.length === events.length
  }

  /** The bot may have been asked in first, to rule a group: a ghost that is invited then is not the bot's to answer for. */
  const toBot = (room: string, events: readonly StoredEvent[]) => {
    const invited = events.findIndex((stored) => isInvitation(stored) && stored.stateKey !== botMxid)
    return invited === 0 ? undefined : bot.takeEvents(room, invited < 0 ? events : events.slice(0, invited))
  }

  /**
   * Whether it may belong to a portal's room that is being made: the user can have joined it, and written there, before
   * its making was noted, above all when a crash came in between.
   */
  const awaitsPortal = async ({ sender }: StoredEvent): Promise<boolean> => {
    const account = await context.users.accountOf(sender)
    if (account === undefined) return false
    const { portals: direct, groups, database } = context
    return (await direct.isMaking(database, account)) || (await groups.isMaking(database, account))
  }

  return {
    wants: ({ type, sender, stateKey }) =>
      stateKey === undefined
        ? !context.isOurs(sender)
        : groupTypes.has(type) || (!context.isOurs(sender) && actedOn.has(type)),
    async timeline(room) {
      const { portals: direct, groups, database, ghosts, homeserver, messages } = context
      const pair = await direct.byMatrixRoom(database, room)
      const portal = pair ?? (await groups.byMatrixRoom(database, room))
      if (portal === undefined) return undefined
      const reader = pair === undefined ? await ghosts.ensureBot() : pair.ghost
      if (reader === undefined) return undefined
      const as = await asGhost(context, reader as GhostId)
      return {
        read: (from, limit) => homeserver.messages(as, room, from, limit),
        carried: (on, eventIds) => messages.eventsKnown(on, portal.id, eventIds),
      }
    },
    async onEvents(room, all, mayEnter) {
      const inGroup = await portals.takeGroupEvents(room, all)
      if (inGroup !== undefined) return inGroup.retryAfterMs === undefined ? {} : { retryAfterMs: inGroup.retryAfterMs }
      if (await finishOwn(all)) return undefined
      const events = all.filter(({ sender }) => !context.isOurs(sender))
      const taken = (await portals.takeEvents(room, events)) ?? (await toBot(room, events))
      if (taken !== undefined) return taken.retryAfterMs === undefined ? {} : { retryAfterMs: taken.retryAfterMs }
      const [stored] = events
      // One at a time: after it the room may be somebody's.
      if (stored === undefined) return undefined
      if (!isInvitation(stored) && (await awaitsPortal(stored))) return {}
      if (isInvitation(stored) && context.isOurs(stored.stateKey ?? '') && !mayEnter()) return undefined
      try {
        await first(stored)
      } catch (error) {
        // Sent away again, or not let in to look: there is nothing to be done in that room, now or later.
        const isForGood = isHomeserverError(error) && !error.retry && error.status !== 401
        if (!isForGood && !(isInvitation(stored) && invitations.giveUp(stored, error))) throw error
        await finish(stored)
      }
      invitations.done(stored)
      return undefined
    },
  }
}
