/**
 * The bot: how a Matrix user finds people on the messenger from any client. It is a Matrix user of ours with an Olm
 * machine of its own, so that it can be talked to in encrypted rooms; it takes part in no conversation.
 */
import { ClientError } from '../../client/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import { codeOf, elapsed, openRate, type Portals, sayInRoom, waitForKey } from '../portals/index.ts'
import { leadsToPublic, type StoredEvent } from './appservice.ts'
import { type Answer, type Command, parseCommand, runCommand } from './bot-commands.ts'
import { botWords } from './bot-words.ts'
import { type GhostId, isDecrypted } from './ghosts.ts'
import { isHomeserverError } from './homeserver.ts'
import { missedEvents } from './missed.ts'

export interface Bot {
  /** The bot was invited: it joins and says what it can do. */
  invited(event: StoredEvent): Promise<void>
  /** Events of one room, in order; undefined when the bot does not talk there. */
  takeEvents(room: string, events: readonly StoredEvent[]): Promise<{ taken: true; retryAfterMs?: number } | undefined>
}

export interface BotOptions {
  readonly portals: Portals
  /** What people call the messenger. */
  readonly network: string
  /** Finds somebody for a Matrix user without an account. */
  lookUp(handle: string): Promise<AccountAddress>
}

export function openBot({ portals, network, lookUp }: BotOptions): Bot {
  const { context } = portals
  const { database, homeserver, ghosts, users, settings, clock } = context
  const lookUps = openRate(settings.botLookUps, clock)
  const finish = (stored: StoredEvent) => database.transaction((tx) => context.finishEvent(tx, stored.id))

  /** What somebody wrote, in plain; `undefined`: nothing for the bot. */
  const read = async (bot: GhostId, stored: StoredEvent): Promise<Plain | { retryAfterMs: number } | undefined> => {
    if (stored.type === 'm.room.message') return { content: stored.content }
    if (stored.type !== 'm.room.encrypted') return undefined
    const result = await ghosts.decrypt(bot, stored.room, stored.event)
    if (isDecrypted(result)) return result.type === 'm.room.message' ? { content: result.content } : undefined
    const left = 'missingKey' in result ? waitForKey(settings, clock(), stored, result) : 0
    if (left > 0) return { retryAfterMs: left }
    return { unreadable: true }
  }

  const answer = async (bot: GhostId, stored: StoredEvent, plain: Plain): Promise<void> => {
    const say = (said: Parameters<typeof sayInRoom>[3]) => sayInRoom(context, bot, stored.room, said, stored.eventId)
    if ('unreadable' in plain) return say(botWords.undecryptable())
    const { msgtype, body } = plain.content
    // Notices are never answered, or two bots would talk for ever.
    if (msgtype !== 'm.text' || typeof body !== 'string') return
    const command = parseCommand(body)
    const members = await membersIn(bot, stored.room)
    if (members > mostMembers) return goOut(bot, stored.room)
    const alone = members <= 2
    if (command === undefined) return alone ? say(botWords.help(network)) : undefined
    if (!alone && !command.marked) return
    await say(await run(stored, command))
  }

  /** A command that keeps failing is answered too: somebody waits. */
  const run = async (stored: StoredEvent, command: Command): Promise<Answer> => {
    try {
      const { sender } = stored
      const known = () => users.find(sender)
      const find = async (handle: string) => {
        if (!lookUps.take(sender)) throw new ClientError('rate-limited')
        return (await known())?.device.lookUp({ handle }) ?? lookUp(handle)
      }
      const asker = { portals, network, user: () => users.ensure(sender), known, lookUp: find }
      return await runCommand(asker, command)
    } catch (error) {
      if (elapsed(clock(), stored.receivedAt) < settings.commandMs) throw error
      context.log.warn({ code: codeOf(error) }, 'a command to the bot failed')
      return botWords.fault()
    }
  }

  const membersIn = async (bot: GhostId, room: string) =>
    Object.keys(await homeserver.joinedMembers({ user: bot }, room)).length
  const goOut = async (bot: GhostId, room: string): Promise<void> => {
    await database.query('delete from bot_room where matrix_room = $1', [room])
    await homeserver.leave({ user: bot }, room).catch((error: unknown) => {
      if (!isForGood(error)) throw error
    })
  }

  const left = async (bot: GhostId, stored: StoredEvent): Promise<void> => {
    if (stored.stateKey !== bot && (await membersIn(bot, stored.room)) > 1) return
    await goOut(bot, stored.room)
  }

  /** One event; a time to wait when its key has not come. */
  const take = async (bot: GhostId, stored: StoredEvent): Promise<{ retryAfterMs: number } | undefined> => {
    const { type, content, stateKey } = stored
    if (type === 'm.room.member' && content.membership !== 'join' && content.membership !== 'invite') {
      await left(bot, stored)
    } else if (stateKey === undefined) {
      const plain = await read(bot, stored)
      if (plain !== undefined && 'retryAfterMs' in plain) return plain
      if (plain !== undefined) await answer(bot, stored, plain)
    }
    return undefined
  }

  return {
    async invited(stored) {
      const bot = await ghosts.ensureBot()
      if (leadsToPublic(stored)) {
        await goOut(bot, stored.room)
        return finish(stored)
      }
      try {
        await homeserver.join({ user: bot }, stored.room, context.stopping)
      } catch (error) {
        if (!isForGood(error)) throw error
        return finish(stored)
      }
      const { room, sender: by, eventId: since } = stored
      if ((await membersIn(bot, room)) > mostMembers) {
        await goOut(bot, room)
        return finish(stored)
      }
      await sayInRoom(context, bot, room, botWords.help(network), since)
      const missed = await missedEvents(
        homeserver,
        { as: { user: bot }, room, from: (one) => one === by, since },
        settings,
      )
      // Together, so that what was missed is never forgotten.
      await database.transaction(async (tx) => {
        await tx.query('insert into bot_room (matrix_room) values ($1) on conflict do nothing', [room])
        await context.storeMissed(tx, stored, missed)
        await context.finishEvent(tx, stored.id)
      })
    },
    async takeEvents(room, events) {
      const [known] = await database.query('select 1 from bot_room where matrix_room = $1', [room])
      if (known === undefined) return undefined
      const bot = await ghosts.ensureBot()
      for (const stored of events) {
        try {
          const wait = await take(bot, stored)
          if (wait !== undefined) return { taken: true, ...wait }
        } catch (error) {
          // The bot was sent away, or may not speak here: asking again changes nothing, and what follows must not wait.
          if (!isForGood(error) && elapsed(clock(), stored.receivedAt) < triedMs) throw error
          context.log.warn({ code: codeOf(error) }, 'a message to the bot was given up')
        }
        await finish(stored)
      }
      return { taken: true }
    },
  }
}

/** Members of a room in which the bot stays: every message there costs it a look, and it is for people, not for crowds. */
const mostMembers = 50
/** How long an event is tried again that fails for a reason which may pass, ms. */
const triedMs = 10 * 60 * 1000

/** Whether the homeserver refuses, and will refuse again. */
const isForGood = (error: unknown) => isHomeserverError(error) && !error.retry && error.status !== 401

type Plain = { content: Record<string, unknown> } | { unreadable: true }
