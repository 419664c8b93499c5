import { toBase64Url, utf8 } from '../../../crypto/index.ts'
import type { Transaction } from '../../../store/index.ts'
import type { GhostId } from '../ghosts.ts'
import type { Locks } from '../locks.ts'
import { type ReadEvent, readTransaction, type TransactionBody } from './body.ts'
import type { Feed } from './feed.ts'
import type { Gaps } from './gaps.ts'
import type { AppserviceOptions } from './types.ts'

export interface Transactions {
  /** Stores a transaction; afterwards it is handed on without anybody waiting. @throws StoreError: nothing is stored */
  take(id: string, body: Record<string, unknown>): Promise<void>
  readonly taken: number
  /** Resolves when what was taken has been handed on. */
  idle(): Promise<void>
}

export function createTransactions(options: AppserviceOptions, feed: Feed, gaps: Gaps, locks: Locks): Transactions {
  const { database, sealer, crypto, ghosts, handlers, settings, log } = options
  const steps = options.steps ?? (() => {})
  let taken = 0
  let behind: Promise<void> = Promise.resolve()
  /** Set when a transaction could not be stored: its room keys have to be fetched by /sync. */
  let keysLost = false
  let fetching: Promise<void> = Promise.resolve()

  const isWanted = (event: ReadEvent) => handlers.wants?.(event) ?? true
  /** Whether there is anything to store; a repetition of a transaction with nothing in it does no harm. */
  const isEmpty = ({ events, delivery }: TransactionBody) =>
    !events.some(isWanted) &&
    delivery.toDevice.length + delivery.deviceLists.changed.length + delivery.deviceLists.left.length === 0 &&
    Object.keys(delivery.otkCounts).length + Object.keys(delivery.fallbackTypes).length === 0

  const digestOf = (events: readonly ReadEvent[]) =>
    toBase64Url(crypto.sha256(utf8(JSON.stringify(events.map((event) => event.eventId)))))

  const storeEvents = async (tx: Transaction, events: readonly ReadEvent[]): Promise<void> => {
    const known = await gaps.readBefore(tx, events)
    const wanted = events.filter((event) => !known.has(event.eventId) && isWanted(event))
    if (wanted.length === 0) return
    const unplaced = new Set(wanted.flatMap(({ room }) => (gaps.isSure(room) ? [] : [room])))
    tx.write(
      `insert into appservice_event (room, body, received_at, unplaced)
       select room, body, now_ms(), unplaced
         from unnest($1::text[], $2::bytea[], $3::bool[]) with ordinality as new (room, body, unplaced, n) order by n`,
      [
        wanted.map((event) => event.room),
        wanted.map((event) => sealer.seal(utf8(JSON.stringify(event.event)), `appservice_event|body|${event.room}`)),
        wanted.map((event) => unplaced.has(event.room)),
      ],
    )
    const placed = new Set(wanted.map(({ room }) => room).filter((room) => !unplaced.has(room)))
    if (placed.size > 0)
      gaps.heard(
        tx,
        new Map(events.flatMap(({ room, eventId }) => (placed.has(room) ? [[room, eventId] as const] : []))),
      )
    // Before the commit: whoever looks in between finds nothing and looks again.
    for (const room of unplaced) gaps.unplaced(room)
  }

  /**
   * All or nothing: the transaction's id, its to-device messages, counts and lists, its events. The same id with the same
   * events is a repetition, of which only to-device messages can be new (and a repetition of those is harmless). The same
   * id with other events comes from a homeserver that counts anew, and is a transaction of its own.
   */
  const store = async (tx: Transaction, id: string, body: TransactionBody): Promise<GhostId[]> => {
    const digest = digestOf(body.events)
    const [known] = await tx.query<{ digest: string }>('select digest from appservice_transaction where id = $1', [id])
    tx.write(
      `insert into appservice_transaction (id, digest, received_at) values ($1, $2, now_ms())
       on conflict (id) do update set digest = excluded.digest, received_at = excluded.received_at`,
      [id, digest],
    )
    const repeated = known?.digest === digest
    // It counts anew, so it was started anew, and may have forgotten what came before.
    if (known !== undefined && !repeated) gaps.suspect()
    if (!repeated) await storeEvents(tx, body.events)
    tx.write(
      `delete from appservice_transaction where received_at <
         (select received_at from appservice_transaction order by received_at desc offset $1 limit 1)`,
      [settings.transactionMemory],
    )
    return ghosts.storeDelivery(tx, body.delivery)
  }

  /** To-device messages first: the room key of an event comes with it or before it, never after. */
  const handOn = async (body: TransactionBody, receivers: readonly GhostId[]): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve)) // lets the answer go out
    await steps('matrix.transaction.answered')
    await ghosts.receive(receivers)
    for (const room of new Set(body.events.filter(isWanted).map((event) => event.room))) feed.wake(room)
    if (body.ephemeral.length > 0) handlers.onEphemeral?.(body.ephemeral)
    if (keysLost) fetching = fetching.then(fetchKeys)
  }

  /** Beside the transactions, which go on meanwhile. */
  const fetchKeys = async (): Promise<void> => {
    if (!keysLost) return
    keysLost = false
    try {
      await ghosts.recover()
    } catch {
      keysLost = true
    }
  }

  return {
    get taken() {
      return taken
    },
    // One at a time: the homeserver sends so, and a repetition must see what came before it.
    take(id, raw) {
      return locks.run('', async () => {
        const body = readTransaction(raw)
        if (body.malformed > 0) log.warn({ count: body.malformed }, 'a transaction had malformed entries')
        let receivers: GhostId[]
        try {
          receivers = isEmpty(body) ? [] : await database.transaction((tx) => store(tx, id, body))
        } catch (error) {
          keysLost = true
          gaps.suspect()
          log.error({ code: 'store' }, 'a transaction of the homeserver could not be stored')
          throw error
        }
        await steps('matrix.transaction.stored')
        taken++
        behind = behind
          .then(() => handOn(body, receivers))
          .catch(() => log.error({ code: 'hand-on' }, 'a transaction could not be handed on'))
      })
    },
    async idle() {
      await locks.run('', async () => {})
      await behind
      await fetching
    },
  }
}
