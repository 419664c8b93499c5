import type { Transaction } from '../../../store/index.ts'
import { hasRefused, isHomeserverError } from '../homeserver.ts'
import { eachOf } from '../locks.ts'
import type { Context } from './context.ts'
import type { Delivery, GhostId, ToDevice } from './types.ts'

/** Only what concerns encryption: no rooms, no presence, no account data. */
const filter = JSON.stringify({
  room: { rooms: [] },
  presence: { types: [] },
  account_data: { types: [] },
})

interface SyncAnswer {
  readonly next_batch: string
  readonly to_device?: { events?: Omit<ToDevice, 'to_user_id' | 'to_device_id'>[] }
  readonly device_lists?: { changed?: string[]; left?: string[] }
  readonly device_one_time_keys_count?: Record<string, number>
  readonly device_unused_fallback_key_types?: string[]
}

interface SyncedRow {
  readonly mxid: GhostId
  readonly device_id: string
  readonly since: string | null
}

/** Messages that one /sync gives at most (Synapse): when it gives so many there may be more. */
const fullPage = 100
/** Pages taken at one go: what is left then comes with the next round. */
const pageLimit = 50
/** Ghosts taken from the table at one go. */
const ghostPage = 500

/**
 * Takes what the homeserver keeps for each of these ghosts' devices: to-device messages that it could not push (it drops
 * them while the appservice is down, and from a transaction that it repeats), and those that were pushed, whose rows stay
 * until a /sync acknowledges them. Position and messages are stored in one transaction.
 *
 * A ghost that the homeserver refuses (its device was deleted, for instance) would be refused again: it fails nobody's round,
 * and has its turn again when all have.
 *
 * @param which all: after a start. pushed: only those with rows to get rid of, not synced for `inboxSyncMs`
 * @param refused those that were refused since all had their turn
 * @returns whether all went well that may go well
 */
export async function syncDue(
  context: Context,
  which: 'all' | 'pushed',
  take: (ghosts: readonly string[]) => Promise<void>,
  refused: Set<GhostId>,
): Promise<boolean> {
  const { database, settings, log } = context
  if (which === 'all') refused.clear()
  const refusedBefore = refused.size
  const due = which === 'all' ? '' : 'and pushed > 0 and synced_at < now_ms() - $3'
  let read = 0
  let failed = 0
  for (let after = ''; ; ) {
    const ghosts: SyncedRow[] = await database.query<SyncedRow>(
      `select mxid, device_id, since from ghost where ready and mxid > $1 ${due} order by mxid limit $2`,
      [after, ghostPage, ...(which === 'all' ? [] : [settings.inboxSyncMs])],
    )
    const asked = ghosts.filter(({ mxid }) => !refused.has(mxid))
    await eachOf(asked, settings.syncsAtOnce, async (row) => {
      try {
        await syncGhost(context, row, take)
      } catch (error) {
        if (hasRefused(error)) return void refused.add(row.mxid)
        failed++
        const errcode = isHomeserverError(error) ? error.errcode : 'store'
        log.warn({ errcode }, 'the device inbox of a ghost could not be read')
      }
    })
    read += asked.length
    if (ghosts.length < ghostPage) break
    after = ghosts.at(-1)!.mxid
  }
  const count = refused.size - refusedBefore
  if (count > 0) log.warn({ code: 'refused', count }, 'the homeserver refuses the device inboxes of some ghosts')
  if (read > 0) log.info({ ghosts: read, pending: failed }, 'device inboxes were read')
  return failed === 0
}

/** The same for one ghost that misses a room key; not when it was synced a moment ago. @throws HomeserverError */
export async function syncGhostNow(
  context: Context,
  mxid: GhostId,
  take: (ghosts: readonly string[]) => Promise<void>,
): Promise<void> {
  const [row] = await context.database.query<SyncedRow>(
    'select mxid, device_id, since from ghost where mxid = $1 and synced_at < now_ms() - $2',
    [mxid, context.settings.missingKeySyncMs],
  )
  if (row) await syncGhost(context, row, take)
}

async function syncGhost(
  context: Context,
  row: SyncedRow,
  take: (ghosts: readonly string[]) => Promise<void>,
): Promise<void> {
  const { homeserver, database } = context
  let since = row.since
  for (let page = 0; page < pageLimit; page++) {
    const answer = await homeserver.call<SyncAnswer>('GET', '/_matrix/client/v3/sync', {
      as: { user: row.mxid, device: row.device_id },
      // Without set_presence the ghost would be shown online.
      query: { filter, timeout: '0', set_presence: 'offline', ...(since === null ? {} : { since }) },
    })
    const stored = await database.transaction((tx) => storeSync(context, tx, row, answer))
    if (stored.length > 0) await take(stored)
    since = answer.next_batch
    if ((answer.to_device?.events?.length ?? 0) < fullPage) break
  }
  // The answer to a position acknowledges what lay before it, so the last page is acknowledged by asking once more.
  if (since !== null && row.since !== since)
    await homeserver.call('GET', '/_matrix/client/v3/sync', {
      as: { user: row.mxid, device: row.device_id },
      query: { filter, timeout: '0', set_presence: 'offline', since },
    })
}

async function storeSync(
  { inbox }: Context,
  tx: Transaction,
  { mxid, device_id: device }: SyncedRow,
  answer: SyncAnswer,
): Promise<string[]> {
  const delivery: Delivery = {
    toDevice: (answer.to_device?.events ?? []).map((event) => ({
      ...event,
      to_user_id: mxid,
      to_device_id: device,
    })),
    otkCounts: answer.device_one_time_keys_count ? { [mxid]: { [device]: answer.device_one_time_keys_count } } : {},
    fallbackTypes: answer.device_unused_fallback_key_types
      ? { [mxid]: { [device]: answer.device_unused_fallback_key_types } }
      : {},
    deviceLists: { changed: answer.device_lists?.changed ?? [], left: answer.device_lists?.left ?? [] },
  }
  const stored = await inbox.store(tx, delivery, false)
  await tx.query('update ghost set since = $2, synced_at = now_ms(), pushed = 0 where mxid = $1', [
    mxid,
    answer.next_batch,
  ])
  return stored
}
