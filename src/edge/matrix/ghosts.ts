import type { Crypto } from '../../crypto/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import { currentIncarnation, type Database, type Sealer } from '../../store/index.ts'
import { createClaims } from './ghosts/claims.ts'
import type { Context } from './ghosts/context.ts'
import { openCryptoStore } from './ghosts/crypto-store.ts'
import { decryptEvent } from './ghosts/decrypt.ts'
import { encryptEvents, flush, openSessions } from './ghosts/encrypt.ts'
import { asGhostError, GhostError } from './ghosts/errors.ts'
import type { Loaded } from './ghosts/ghost.ts'
import { openInbox } from './ghosts/inbox.ts'
import { createLoadedGhosts } from './ghosts/loaded.ts'
import { botAccount, claimRow, crossSign, type GhostRow, ghostRow, registerGhost } from './ghosts/onboarding.ts'
import { syncDue, syncGhostNow } from './ghosts/recovery.ts'
import { type GhostId, type Ghosts, isDecrypted } from './ghosts/types.ts'
import type { Homeserver } from './homeserver.ts'
import { createLocks, eachOf } from './locks.ts'
import type { Log } from './log.ts'
import type { MatrixSettings } from './settings.ts'
import type { Steps } from './steps.ts'

/**
 * Ghosts: messenger accounts on Matrix, each an Olm machine with a cross-signed device of its own.
 *
 * This room knows the homeserver, the Olm machines and their tables. It knows no portal, no MLS and no hub. It must never
 * call a machine inside a database transaction (the machine's own commit needs the connection), and never let anything
 * encrypted out before the state that encrypted it is durable.
 */
export { isUnreadable } from './ghosts/errors.ts'
export {
  type Decrypted,
  type DecryptResult,
  type Delivery,
  decryptFailures,
  type GhostId,
  type Ghosts,
  isDecrypted,
  type ToDevice,
} from './ghosts/types.ts'

export interface GhostsOptions {
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly homeserver: Homeserver
  /** What the localparts of our users begin with, as in the registration: `silta_`. */
  readonly userPrefix: string
  readonly botLocalpart: string
  readonly settings: MatrixSettings
  readonly log: Log
  readonly steps?: Steps | undefined
}

/** How often it is looked for device inboxes that are due, ms. */
const inboxRoundMs = 60_000
/** Ids of devices kept in memory; one that is forgotten costs one query more. */
const deviceIdLimit = 10_000
/** Machines that take their inbox at the same time. */
const inboxesAtOnce = 4
/** Ghosts with something to take that are read from the table at one go. */
const inboxPage = 500

export async function openGhosts(options: GhostsOptions): Promise<Ghosts> {
  const { database, sealer, crypto, homeserver, settings, log, userPrefix } = options
  const suffix = `:${homeserver.domain}`
  const isOurs = (user: string) =>
    user.endsWith(suffix) && (user.startsWith(`@${userPrefix}`) || user === `@${options.botLocalpart}${suffix}`)
  const claims = createClaims({ homeserver, attempts: settings.claimAttempts, retryMs: settings.claimRetryMs })
  const inbox = await openInbox({ database, sealer, crypto, settings, isOurs })
  const steps = options.steps ?? (() => {})
  const incarnation = await currentIncarnation(database)
  const shared = { database, sealer, crypto, homeserver, settings, log, steps }
  const context: Context = { ...shared, claims, inbox, isOurs, incarnation }
  const listeners = new Set<(ghost: GhostId, room: string, sessionId: string) => void>()
  const loaded = createLoadedGhosts({
    context,
    cryptoStore: await openCryptoStore(database, sealer, crypto, settings),
    owner: Buffer.from(crypto.randomBytes(9)).toString('base64url'),
    onRoomKey(ghost, room, sessionId) {
      for (const listener of listeners) listener(ghost, room, sessionId)
    },
  })
  /** A ghost's device has one id for as long as the database is not put back from a backup. */
  const deviceIds = new Map<GhostId, string>()
  const accounts = createLocks()
  const behind = new Set<Promise<void>>()

  const use = async <T>(mxid: GhostId, work: (ghost: Loaded) => Promise<T>): Promise<T> => {
    try {
      return await loaded.use(mxid, work)
    } catch (error) {
      throw asGhostError(error)
    }
  }

  /** Lets work run on without a caller. `close` waits for it. */
  const later = (work: Promise<void>) => {
    const done = work.catch((error) => log.warn({ code: asGhostError(error).code }, 'a ghost fell behind'))
    behind.add(done)
    void done.finally(() => behind.delete(done))
  }

  /** The machines take what was stored; what they then want sent does not hold anybody up. */
  const takeAll = (ghosts: readonly string[]) =>
    eachOf(ghosts, inboxesAtOnce, async (mxid) => {
      try {
        await use(mxid as GhostId, (ghost) => ghost.locks.run('inbox', () => inbox.drain(ghost)))
      } catch (error) {
        return log.warn({ code: asGhostError(error).code }, 'a ghost could not take its messages')
      }
      later(
        use(mxid as GhostId, async (ghost) => {
          await flush(context, ghost)
          // Sessions that broke are opened anew between syncs.
          await openSessions(context, ghost, [])
          await flush(context, ghost)
        }),
      )
    })

  /** What was stored and not taken: the process ended in between, or the ghost was another's for a while. */
  const takeLeft = async () => {
    for (let after = ''; ; ) {
      const rows = await database.query<{ mxid: string }>(
        'select distinct mxid from ghost_inbox where mxid > $1 order by mxid limit $2',
        [after, inboxPage],
      )
      await takeAll(rows.map(({ mxid }) => mxid))
      if (rows.length < inboxPage) return
      after = rows.at(-1)!.mxid
    }
  }

  const onboard = async (row: GhostRow): Promise<void> => {
    await registerGhost(context, row)
    await loaded.use(row.mxid, (ghost) => crossSign(context, ghost))
    await database.query('update ghost set ready = true where mxid = $1', [row.mxid])
  }

  const ensure = (account: AccountAddress, localpart: Parameters<typeof claimRow>[2]) =>
    accounts.run(account, async () => {
      try {
        const row = await claimRow(context, account, localpart)
        if (!row.ready) await onboard(row)
        return row.mxid
      } catch (error) {
        throw asGhostError(error)
      }
    })

  const encryptAll: Ghosts['encryptAll'] = async (mxid, room, events, members, keep) => {
    const made = await use(mxid, (ghost) => encryptEvents(context, ghost, room, events, members, keep))
    for (const _ of made) await steps('matrix.encrypted')
    return made
  }

  /** Ghosts that the homeserver refused; see `syncDue`. */
  const refused = new Set<GhostId>()
  let round: NodeJS.Timeout | undefined
  /** A round may take longer than the time to the next: then that one is left out. */
  let inRound = false
  const goRound = async () => {
    if (inRound) return
    inRound = true
    try {
      await syncDue(context, 'pushed', takeAll, refused)
      await takeLeft()
    } finally {
      inRound = false
    }
  }
  const startRounds = () => {
    round ??= setInterval(() => later(goRound()), inboxRoundMs).unref()
  }

  return {
    ensure: (account) => ensure(account, { prefix: userPrefix }),
    ensureBot: () => ensure(botAccount, { whole: options.botLocalpart }),
    async ghostOf(account) {
      return (await ghostRow(database, 'account', account))?.mxid
    },
    async accountOf(mxid) {
      const account = (await ghostRow(database, 'mxid', mxid))?.account
      return account === botAccount ? undefined : account
    },
    async deviceOf(mxid) {
      const known = deviceIds.get(mxid)
      if (known !== undefined) return known
      const row = await ghostRow(database, 'mxid', mxid)
      if (!row) throw new GhostError('unknown-ghost', false)
      // Its device is about to be replaced: with its next use, at the latest when inboxes are read after the start.
      if (row.incarnation < incarnation) return use(mxid, async ({ machine }) => machine.device)
      if (deviceIds.size >= deviceIdLimit) deviceIds.clear()
      deviceIds.set(mxid, row.device_id)
      return row.device_id
    },
    encryptAll,
    async encrypt(mxid, room, type, content, members) {
      return (await encryptAll(mxid, room, [{ type, content }], members))[0]!
    },
    async decrypt(mxid, room, event) {
      const result = await use(mxid, (ghost) => decryptEvent(context, ghost, room, event))
      if (isDecrypted(result)) await steps('matrix.decrypted')
      // Its key may have been in a transaction that never came: the homeserver drops keys when it repeats one.
      else if ('missingKey' in result) later(syncGhostNow(context, mxid, takeAll))
      return result
    },
    async storeDelivery(tx, delivery) {
      const stored = await inbox.store(tx, delivery, true)
      return stored as GhostId[]
    },
    receive: (ghosts) => takeAll(ghosts),
    async recover() {
      startRounds()
      const well = await syncDue(context, 'all', takeAll, refused)
      await takeLeft()
      if (!well) throw new GhostError('homeserver', true)
    },
    onRoomKey(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      clearInterval(round)
      while (behind.size > 0) await Promise.all(behind)
      await loaded.close()
    },
  }
}
