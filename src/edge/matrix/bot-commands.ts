import { ClientError } from '../../client/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import {
  endByBlock,
  type MatrixUser,
  type Portal,
  type PortalContext,
  type Portals,
  refusalWords,
  takeUpAgain,
} from '../portals/index.ts'
import { botWords, statusLine } from './bot-words.ts'

export type Answer = string | { body: string; formatted_body: string }

export interface Command {
  readonly name: string
  readonly argument: string
}

/** UTF-16 units of what follows a command: longer than any handle, short enough to be repeated in an answer. */
const longestArgument = 200

/** `!silta start ana`, `Start @ana`, `start: ana`: a word and what follows. The mark is for rooms with others in them. */
export function parseCommand(body: string): (Command & { marked: boolean }) | undefined {
  const [line = ''] = body.trim().split('\n')
  const [, mark, name, argument] = /^(!silta\s+|!)?([\p{L}?]{1,32})(?::?\s+(.*))?$/iu.exec(line.trim()) ?? []
  if (name === undefined) return undefined
  return {
    name: name.toLowerCase(),
    argument: (argument ?? '').trim().slice(0, longestArgument),
    marked: mark !== undefined,
  }
}

/** A handle as it is looked up: without the sign that people put in front. */
const handleOf = (text: string) => text.replace(/^@/, '').trim()

interface Asker {
  readonly portals: Portals
  /** What people call the messenger. */
  readonly network: string
  /** The asking user; made when they are new. */
  user(): Promise<MatrixUser>
  /** The asking user, if they have been here: who only asks need not get an account for it. */
  known(): Promise<MatrixUser | undefined>
  /** The account behind a handle. Throws ClientError. */
  lookUp(handle: string): Promise<AccountAddress>
}

type Run = (asker: Asker, argument: string) => Promise<Answer>

const commands: Readonly<Record<string, Run>> = {
  help: async ({ network }) => botWords.help(network),
  start,
  status,
  block: (asker, argument) => block(asker, argument, true),
  unblock: (asker, argument) => block(asker, argument, false),
  leave,
}

/** Runs a command for somebody and gives what to answer. What fails in passing throws, and is tried again. */
export async function runCommand(asker: Asker, { name, argument }: Command): Promise<Answer> {
  if (name === '?' || name === 'hello' || name === 'hi') return botWords.help(asker.network)
  const run = Object.hasOwn(commands, name) ? commands[name] : undefined
  return run === undefined ? botWords.unknown(name) : run(asker, argument)
}

async function start(asker: Asker, argument: string): Promise<Answer> {
  const handle = handleOf(argument)
  if (handle === '') return botWords.handleMissing('start')
  // Whoever is blocked cannot be looked up.
  if ((await remembered(asker, handle))?.endedBecause === 'blocked-here') return botWords.stillBlocked(handle)
  const { portals, user, lookUp } = asker
  const peer = await lookedUp(lookUp, handle)
  if (typeof peer === 'object')
    return peer.code === 'rate-limited' ? refusalWords(peer.code, 'start') : botWords.notFound(handle)
  // Only whoever finds somebody gets an account.
  const asking = await user()
  const { context } = portals
  const before = await context.portals.byPair(context.database, asking.account, peer)
  const beginning = await portals.begin(asking, peer)
  if ('refused' in beginning) return refusalWords(beginning.refused.code, 'start', handle)
  await noteHandle(context, beginning.portal, handle)
  const going = before !== undefined && before.state !== 'ended' && before.matrixRoom !== undefined
  if ('asked' in beginning) return botWords.asked(handle)
  return going ? botWords.resumed(handle) : botWords.started(handle)
}

async function lookedUp(lookUp: Asker['lookUp'], handle: string): Promise<AccountAddress | ClientError> {
  try {
    return await lookUp(handle)
  } catch (error) {
    if (error instanceof ClientError && (!error.retry || error.code === 'rate-limited')) return error
    throw error
  }
}

async function status({ portals: { context }, known }: Asker): Promise<Answer> {
  const account = (await known())?.account
  if (account === undefined) return botWords.none()
  const away = await context.portals.toldOf(context.database, account, 'away')
  const shown = (await numbered(context, account)).filter(
    ({ portal: { state, endedBecause } }) => state !== 'ended' || endedBecause === 'blocked-here',
  )
  if (shown.length === 0) return botWords.none()
  const { host } = context
  return botWords.status(
    shown.map(({ portal, number }) => statusLine(portal, { number, host, away: away.has(portal.id) })),
  )
}

/** An account's conversations with the number that each keeps for its owner: its own first one is 1. */
async function numbered({ portals, database }: PortalContext, account: AccountAddress) {
  const all = await portals.ofAccount(database, account)
  return all.map((portal, index) => ({ portal, number: index + 1 }))
}

/** The conversation that a number of the status, or a handle or name that stands in it, means. */
async function remembered({ portals: { context }, known }: Asker, argument: string): Promise<Portal | undefined> {
  const asking = await known()
  if (asking === undefined) return undefined
  const list = await numbered(context, asking.account)
  const all = list.map(({ portal }) => portal)
  const byNumber = /^#?\d{1,9}\.?$/.test(argument) ? Number(argument.replace(/[#.]/g, '')) : undefined
  const wanted = handleOf(argument).toLowerCase()
  const same = (text: string | undefined) => text?.toLowerCase() === wanted
  const named = all.filter(({ peerName }) => same(peerName))
  return (
    list.find(({ number }) => number === byNumber)?.portal ??
    all.find(({ askedAs }) => same(askedAs)) ??
    // A name is its owner's choice: two of them, and it says nothing.
    (named.length === 1 ? named[0] : undefined)
  )
}

/** The same, or whoever has that handle. */
async function meant(asker: Asker, argument: string): Promise<Portal | undefined> {
  const direct = await remembered(asker, argument)
  const asking = direct === undefined ? await asker.known() : undefined
  if (asking === undefined) return direct
  const { context } = asker.portals
  const peer = await lookedUp(asker.lookUp, handleOf(argument))
  const found =
    typeof peer === 'string' ? await context.portals.byPair(context.database, asking.account, peer) : undefined
  // Remembered, since somebody who is blocked cannot be looked up.
  if (found !== undefined) await noteHandle(context, found, handleOf(argument))
  return found
}

const noteHandle = ({ portals, database }: PortalContext, portal: Portal, handle: string): Promise<void> =>
  portals.update(database, portal.id, { askedAs: handle })

async function block(asker: Asker, argument: string, blocked: boolean): Promise<Answer> {
  if (argument === '') return botWords.handleMissing(blocked ? 'block' : 'unblock')
  const portal = await meant(asker, argument)
  if (portal === undefined) return botWords.noSuchConversation(argument)
  const { context } = asker.portals
  const { device } = await asker.user()
  const name = portal.name ?? argument
  if (blocked) {
    await device.block(portal.peer, true)
    await endByBlock(context, portal, botWords.blocked(name))
    return botWords.blocked(name)
  }
  const isBlocked = (await device.settings()).blocked.includes(portal.peer)
  if (!isBlocked && portal.endedBecause !== 'blocked-here') return botWords.notBlocked(name)
  await device.block(portal.peer, false)
  return (await takeUpAgain(context, portal)) ? botWords.goesOn(name) : botWords.unblocked(name)
}

async function leave(asker: Asker, argument: string): Promise<Answer> {
  if (argument === '') return botWords.handleMissing('leave')
  const portal = await meant(asker, argument)
  if (portal === undefined || portal.state === 'ended') return botWords.noSuchConversation(argument)
  const { context } = asker.portals
  const { device } = await asker.user()
  if (portal.room !== undefined) {
    try {
      await (portal.state === 'offered' ? device.decline(portal.room) : device.leave(portal.room))
    } catch (error) {
      if (!(error instanceof ClientError) || error.retry) throw error
    }
  }
  await context.database.transaction(async (tx) => {
    context.users.check(tx, portal.account)
    await context.portals.update(tx, portal.id, { state: 'ended', endedBecause: 'left-here' })
  })
  context.wake(portal.id)
  return botWords.left(portal.name ?? argument)
}
