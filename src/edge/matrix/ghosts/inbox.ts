import { DeviceLists } from '@matrix-org/matrix-sdk-crypto-wasm'
import { type Crypto, toBase64Url, utf8 } from '../../../crypto/index.ts'
import type { Database, Sealer, Transaction } from '../../../store/index.ts'
import type { MatrixSettings } from '../settings.ts'
import type { Loaded } from './ghost.ts'
import { userIds } from './machine.ts'
import type { Delivery, ToDevice } from './types.ts'

/**
 * What the homeserver has for the machines, kept until they have taken it: to-device messages and low key counts by
 * ghost, changed devices by user. A machine takes what is there when it is next used.
 */
export interface Inbox {
  /**
   * Stores a delivery in the caller's transaction.
   * @param pushed whether it came by transaction, so that the homeserver still has it too
   * @returns the ghosts that have something to take
   */
  store(tx: Transaction, delivery: Delivery, pushed: boolean): Promise<string[]>
  /**
   * Gives a machine all that waits for it. Call under the ghost's `inbox` lock. Returns whether there was anything.
   * @param how `quick` believes what this process knows: another one may have taken a transaction meanwhile
   */
  drain(ghost: Loaded, how?: 'quick'): Promise<boolean>
}

export interface InboxOptions {
  readonly database: Database
  readonly sealer: Sealer
  readonly crypto: Crypto
  readonly settings: MatrixSettings
  readonly isOurs: (user: string) => boolean
}

/** Where the list of changed devices ends: what a machine that follows nobody yet needs to know of it is nothing. */
export const endOfChanges = '(select coalesce(max(position), 0) from device_change)'

/** Names the lock under which changes of devices get their positions: "DEVC" in ASCII, as no other lock of transactions. */
const positionsLock = 0x44455643

/** Ghosts remembered as having nothing; one forgotten costs one query more. */
const emptyLimit = 10_000

const algorithm = 'signed_curve25519'

interface Entry {
  toDevice: ToDevice[]
  count?: number
  fallback?: readonly string[]
}

/** The last change of one user's devices. */
interface ListRow {
  readonly position: number
  readonly digest: string
  /** Who it is, sealed. */
  readonly body: Uint8Array
}

export async function openInbox({ database, sealer, crypto, settings, isOurs }: InboxOptions): Promise<Inbox> {
  /** Ghosts with rows, as far as this process knows; it looks once for each ghost it loads. */
  const empty = new Set<string>()
  const [last] = await database.query<{ position: number | null }>(
    'select max(position) as position from device_change',
  )
  let newest = last?.position ?? 0
  // With PostgreSQL another process may take the homeserver's transactions: then only the database knows.
  const alone = database.dialect === 'pglite'
  const digest = (user: string) => toBase64Url(crypto.sha256(utf8(`silta device change|${user}`)))

  const entriesOf = async (tx: Transaction, { toDevice, otkCounts, fallbackTypes }: Delivery) => {
    const users = new Set([
      ...toDevice.map((event) => event.to_user_id),
      ...Object.keys(otkCounts),
      ...Object.keys(fallbackTypes),
    ])
    const ours = [...users].filter(isOurs)
    if (ours.length === 0) return []
    const rows = await tx.query<{ mxid: string; device_id: string }>(
      'select mxid, device_id from ghost where mxid = any($1::text[])',
      [ours],
    )
    return rows.flatMap(({ mxid, device_id: device }): [string, Entry][] => {
      const mine = toDevice.filter(
        (event) => event.to_user_id === mxid && (event.to_device_id === device || event.to_device_id === '*'),
      )
      const entry: Entry = { toDevice: mine }
      const counts = otkCounts[mxid]?.[device]
      // Synapse says that no key is left by an entry without the algorithm.
      const count = counts && (counts[algorithm] ?? 0)
      if (count !== undefined && count < settings.refillBelow) entry.count = count
      const fallback = fallbackTypes[mxid]?.[device]
      if (fallback && !fallback.includes(algorithm)) entry.fallback = fallback
      return mine.length > 0 || entry.count !== undefined || entry.fallback ? [[mxid, entry]] : []
    })
  }

  /**
   * Those users of changed lists whom the ghost follows. A ghost follows few of all whose devices change, the bot nearly
   * everybody: whichever is less work, a digest for each whom it follows, or each row opened.
   */
  const followed = ({ tracked }: Loaded, lists: readonly ListRow[]): string[] => {
    if (tracked.size < lists.length) {
      const changed = new Set(lists.map((row) => row.digest))
      return [...tracked].filter((user) => changed.has(digest(user)))
    }
    return lists
      .map((row) => text(sealer.open(row.body, `device_change|${row.digest}`)))
      .filter((user) => tracked.has(user))
  }

  /** Returns whether there was anything. */
  const drainSome = async (ghost: Loaded): Promise<boolean> => {
    const { mxid } = ghost
    // Asked before each message is encrypted, nearly always in vain: one statement.
    const found = await database.query<{ place: number; digest: string | null; body: Uint8Array }>(
      `(select id as place, null as digest, body from ghost_inbox where mxid = $1 order by id limit $2)
       union all
       (select position, user_digest, mxid from device_change where position > $3 order by position limit $4)
       order by place`,
      [mxid, settings.inboxBatch, ghost.listsSeen, settings.listsBatch],
    )
    if (found.length === 0) return false
    const rows = found.flatMap(({ place: id, digest, body }) => (digest === null ? [{ id, body }] : []))
    const lists = found.flatMap(({ place: position, digest, body }): ListRow[] =>
      digest === null ? [] : [{ position, digest, body }],
    )
    const entries = rows.map((row): Entry => JSON.parse(text(sealer.open(row.body, `ghost_inbox|${mxid}`))))
    const changed = followed(ghost, lists)
    const seen = lists.at(-1)?.position ?? ghost.listsSeen
    if (entries.length > 0 || changed.length > 0) await give(ghost, entries, changed)
    // The machine's own commit came first: after a crash in between it gets the same again, which is harmless.
    await database.transaction(async (tx) => {
      if (rows.length > 0) tx.write('delete from ghost_inbox where id = any($1::int8[])', [rows.map((row) => row.id)])
      if (lists.length > 0) tx.write('update ghost set lists_seen = $2 where mxid = $1', [mxid, seen])
    })
    ghost.listsSeen = seen
    return true
  }

  return {
    async store(tx, delivery, pushed) {
      const changed = [...new Set(delivery.deviceLists.changed)].filter((user) => !isOurs(user))
      // Positions must become visible in their order: a ghost that has read one never looks for a smaller one again. Before
      // anything else is written, so that of two transactions one waits here and not each for the other.
      if (changed.length > 0) tx.write('select pg_advisory_xact_lock($1)', [positionsLock])
      const entries = await entriesOf(tx, delivery)
      const mxids = entries.map(([mxid]) => mxid)
      if (entries.length > 0) {
        const bodies = entries.map(([mxid, entry]) => sealer.seal(utf8(JSON.stringify(entry)), `ghost_inbox|${mxid}`))
        tx.write('insert into ghost_inbox (mxid, body) select * from unnest($1::text[], $2::bytea[])', [mxids, bodies])
      }
      const received = entries.filter(([, entry]) => entry.toDevice.length > 0)
      if (pushed && received.length > 0)
        tx.write(
          `update ghost set pushed = pushed + n from unnest($1::text[], $2::int4[]) as new (who, n) where mxid = who`,
          [received.map(([mxid]) => mxid), received.map(([, entry]) => entry.toDevice.length)],
        )
      let position = 0
      if (changed.length > 0) {
        const users = new Map(changed.map((user) => [digest(user), user]))
        // In the order of their rows' names, so that a process that knows nothing of the lock cannot be waited for in a circle.
        const digests = [...users.keys()].sort()
        const sealed = digests.map((each) => sealer.seal(utf8(users.get(each)!), `device_change|${each}`))
        const rows = await tx.query<{ position: number }>(
          `insert into device_change (user_digest, mxid, position)
           select *, nextval('device_change_position') from unnest($1::text[], $2::bytea[])
           on conflict (user_digest) do update set position = excluded.position returning position`,
          [digests, sealed],
        )
        position = Math.max(...rows.map((row) => row.position))
      }
      tx.afterCommit(() => {
        for (const mxid of mxids) empty.delete(mxid)
        newest = Math.max(newest, position)
      })
      return mxids
    },

    async drain(ghost, how) {
      if ((alone || how === 'quick') && empty.has(ghost.mxid) && ghost.listsSeen >= newest) return false
      let any = false
      try {
        // Said before looking: what comes in between makes it untrue again.
        if (empty.size >= emptyLimit) empty.clear()
        empty.add(ghost.mxid)
        while (await drainSome(ghost)) any = true
        return any
      } catch (error) {
        empty.delete(ghost.mxid)
        throw error
      }
    },
  }
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

/** Missing counts mean "unchanged" in this call (MSC4186), as they do in a transaction. */
async function give(ghost: Loaded, entries: readonly Entry[], changed: readonly string[]): Promise<void> {
  const toDevice = entries.flatMap((entry) => entry.toDevice)
  const count = entries.findLast((entry) => entry.count !== undefined)?.count
  const fallback = entries.findLast((entry) => entry.fallback !== undefined)?.fallback
  await ghost.machine.tell((olm) =>
    olm.receiveSyncChangesMsc4186(
      JSON.stringify(toDevice),
      new DeviceLists(userIds(changed), []),
      new Map(count === undefined ? [] : [[algorithm, count]]),
      fallback ? new Set(fallback) : undefined,
    ),
  )
}
