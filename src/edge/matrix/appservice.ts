import type { Hono, Context as HonoContext } from 'hono'
import { Hono as Router } from 'hono'
import type { Crypto } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import { createFeed } from './appservice/feed.ts'
import { createGaps } from './appservice/gaps.ts'
import { storeMissed } from './appservice/missed.ts'
import { createTransactions } from './appservice/transactions.ts'
import type { AppserviceOptions, StoredEvent } from './appservice/types.ts'
import { readBounded } from './bounded.ts'
import { createLocks } from './locks.ts'

/**
 * The homeserver's way in: transactions are stored whole, answered, and only then looked at.
 *
 * This room knows the Application Service API and its two tables. It knows neither portals nor MLS: what an event means
 * is for its handlers. It must never answer a transaction with an error because of what is in it: Synapse repeats it
 * without the room keys that came with it.
 */
export { leadsToPublic } from './appservice/body.ts'
export type { AppserviceHandlers, AppserviceOptions, StoredEvent, Timeline } from './appservice/types.ts'

export interface Appservice {
  /** /_matrix/app/v1/*, for the process' HTTP server. */
  readonly routes: Hono
  /** Hands over what was stored before; events of transactions that come in are handed over from now on. */
  start(): Promise<void>
  /** Deletes stored events, in the transaction that holds their effects. */
  finishEvent(tx: Transaction, ...ids: readonly number[]): Promise<void>
  /**
   * Stores events of a room that the homeserver did not push, oldest first, right behind the one that is being handled
   * and before all that came after it; in the transaction that finishes that one. The handler must end with that one: what
   * else it was given comes after these. One that was pushed all the same is handed over twice.
   */
  storeMissed(tx: Transaction, handled: StoredEvent, missed: readonly Record<string, unknown>[]): Promise<void>
  /** Hands a room's waiting events over now: a room key came, or what was missing is there. */
  wake(room: string): void
  /**
   * The homeserver may have failed to hand over something: rooms are compared before what comes next is handed over.
   * @param lasting it is away: until this is called without, nothing that it hands over is known to be all there was
   */
  suspectGaps(lasting?: boolean): void
  /** Compares the rooms that were heard of lately, one after another, with what the homeserver has of them. */
  lookForGaps(): Promise<void>
  /** Resolves when all transactions are handed on and no room has anything to hand over, or only what waits for a retry. */
  idle(): Promise<void>
  /** Transactions taken since the start: tells whether any are still coming in. */
  readonly transactions: number
  /** Stops handing over and waits for handlers under way; transactions are refused with 503. */
  drain(): Promise<void>
}

type Answer = [body: Record<string, unknown>, status: 200 | 400 | 401 | 403 | 404 | 413 | 503]

export function createAppservice(options: AppserviceOptions): Appservice {
  const { handlers, settings, crypto, log } = options
  const storing = createLocks()
  const gaps = createGaps(options, storing)
  const feed = createFeed(options, gaps)
  const transactions = createTransactions(options, feed, gaps, storing)
  const authorized = tokenCheck(crypto, options.hsToken)
  let draining = false

  const routes = new Router()
  routes.use('/_matrix/app/v1/*', async (c, next) => {
    const answer = authorized(c.req.header('authorization'))
    if (answer) return c.json(...answer)
    await next()
  })

  routes.put('/_matrix/app/v1/transactions/:id', async (c) => {
    if (draining) return c.json(...error(503, 'M_UNKNOWN', 'draining'))
    const text = await bodyOf(c, settings.transactionLimitBytes)
    if (text === undefined) return c.json(...error(413, 'M_TOO_LARGE', 'transaction too large'))
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      return c.json(...error(400, 'M_NOT_JSON', 'not JSON'))
    }
    if (typeof body !== 'object' || body === null || Array.isArray(body))
      return c.json(...error(400, 'M_BAD_JSON', 'not an object'))
    try {
      await transactions.take(c.req.param('id'), body as Record<string, unknown>)
    } catch {
      // Nothing was stored, and the homeserver repeats the events, but not the room keys.
      return c.json(...error(503, 'M_UNKNOWN', 'not stored'))
    }
    return c.json({})
  })

  routes.post('/_matrix/app/v1/ping', (c) => c.json({}))

  routes.get('/_matrix/app/v1/users/:user', (c) => found(c, handlers.queryUser?.(c.req.param('user'))))
  routes.get('/_matrix/app/v1/rooms/:alias', (c) => found(c, handlers.queryAlias?.(c.req.param('alias'))))

  routes.get('/_matrix/app/v1/thirdparty/protocol/:protocol', (c) =>
    lookUp(c, handlers.protocol?.(c.req.param('protocol'))),
  )
  routes.get('/_matrix/app/v1/thirdparty/user/:protocol', (c) =>
    lookUp(c, handlers.findUsers?.({ protocol: c.req.param('protocol'), fields: c.req.query() })),
  )
  routes.get('/_matrix/app/v1/thirdparty/user', (c) =>
    lookUp(c, handlers.findUsers?.({ userId: c.req.query('userid') ?? '' })),
  )
  routes.get('/_matrix/app/v1/thirdparty/location/:protocol', (c) =>
    lookUp(c, handlers.findLocations?.({ protocol: c.req.param('protocol'), fields: c.req.query() })),
  )
  routes.get('/_matrix/app/v1/thirdparty/location', (c) =>
    lookUp(c, handlers.findLocations?.({ alias: c.req.query('alias') ?? '' })),
  )
  routes.all('/_matrix/app/*', (c) => c.json(...error(404, 'M_UNRECOGNIZED', 'unrecognized request')))

  const found = async (c: HonoContext, answer: Promise<boolean> | undefined) =>
    c.json(...((await settled(answer)) ? ([{}, 200] as Answer) : error(404, 'M_NOT_FOUND', 'not found')))
  const lookUp = async (c: HonoContext, answer: Promise<object | undefined> | undefined) => {
    const result = await settled(answer)
    return result ? c.json(result) : c.json(...error(404, 'M_NOT_FOUND', 'not found'))
  }
  /** A look-up that fails finds nothing. */
  const settled = async <T>(answer: Promise<T> | undefined): Promise<T | undefined> => {
    try {
      return await answer
    } catch {
      log.warn({ code: 'look-up' }, 'a look-up by the homeserver failed')
      return undefined
    }
  }

  return {
    routes,
    start: () => feed.start(),
    finishEvent: (tx, ...ids) => feed.finish(tx, ids),
    storeMissed: (tx, handled, missed) => storeMissed(tx, options.sealer, handled, missed),
    wake: (room) => feed.wake(room),
    suspectGaps(lasting = false) {
      gaps.doubt(lasting)
      for (const room of gaps.waiting) feed.wake(room)
    },
    lookForGaps: () => gaps.sweep(feed.wake),
    async idle() {
      await transactions.idle()
      await feed.idle()
    },
    get transactions() {
      return transactions.taken
    },
    async drain() {
      draining = true
      gaps.stop()
      await transactions.idle()
      await feed.stop()
    },
  }
}

const error = (status: Answer[1], errcode: string, text: string): Answer => [{ errcode, error: text }, status]

function bodyOf(c: HonoContext, limit: number): Promise<string | undefined> {
  if (Number(c.req.header('content-length') ?? 0) > limit) return Promise.resolve(undefined)
  return readBounded(c.req.raw, limit)
}

/**
 * The token is taken from the header alone; as a query parameter (before Matrix 1.4) it would end up in access logs.
 * Digests are compared, so that time tells nothing about the token, not even its length.
 */
function tokenCheck(crypto: Crypto, token: string) {
  const text = new TextEncoder()
  const expected = crypto.sha256(text.encode(token))
  return (header: string | undefined): Answer | undefined => {
    const given = /^Bearer (.+)$/i.exec(header ?? '')?.[1]
    if (given === undefined) return error(401, 'M_UNAUTHORIZED', 'token missing')
    const digest = crypto.sha256(text.encode(given))
    let difference = 0
    for (const [index, byte] of expected.entries()) difference |= byte ^ digest[index]!
    return difference === 0 ? undefined : error(403, 'M_FORBIDDEN', 'token wrong')
  }
}
