import type { Queryable, Transaction } from './database.ts'
import { LeaseLost } from './errors.ts'

/**
 * Leases: at most one owner at a time does the named work. A lease that was not renewed can be taken by somebody else,
 * and the former owner may not have noticed (a paused process); so every transaction of an owner that writes calls
 * `requireFence` or `assertFence`. Time is the database's alone.
 */
export interface Lease {
  readonly name: string
  /** Grows with each change of hands. */
  readonly fence: number
}

export interface LeaseRequest {
  readonly name: string
  /** Names the taker for people who look; different in each process and life. */
  readonly owner: string
  readonly ttlMs: number
}

/** Takes the lease if nobody holds it; undefined otherwise. */
export async function acquireLease(on: Queryable, { name, owner, ttlMs }: LeaseRequest): Promise<Lease | undefined> {
  const rows = await on.query<{ fence: number }>(
    `insert into lease as l (name, owner, fence, held_until) values ($1, $2, 1, now_ms() + $3)
     on conflict (name) do update set owner = excluded.owner, fence = l.fence + 1, held_until = now_ms() + $3
       where l.held_until <= now_ms()
     returning fence`,
    [name, owner, ttlMs],
  )
  const row = rows[0]
  return row && { name, fence: row.fence }
}

/** Prolongs the lease, also one that has run out if nobody took it since. False when it is lost, or was given back. */
export async function renewLease(on: Queryable, lease: Lease, ttlMs: number): Promise<boolean> {
  const rows = await on.query(
    `update lease set held_until = now_ms() + $3 where name = $1 and fence = $2 and held_until > ${givenBack} returning fence`,
    [lease.name, lease.fence, ttlMs],
  )
  return rows.length === 1
}

/**
 * Prolongs many at once, and waits for none: one under which a transaction is just committing is left out, as one that is
 * lost. Gives the names of those that were prolonged.
 */
export async function renewLeases(on: Queryable, leases: readonly Lease[], ttlMs: number): Promise<Set<string>> {
  const rows = await on.query<{ name: string }>(
    `with mine as (
       select l.name from lease l join unnest($1::text[], $2::int8[]) as given (name, fence) using (name, fence)
        where l.held_until > ${givenBack} for no key update of l skip locked)
     update lease set held_until = now_ms() + $3 from mine where lease.name = mine.name returning lease.name`,
    [leases.map(({ name }) => name), leases.map(({ fence }) => fence), ttlMs],
  )
  return new Set(rows.map(({ name }) => name))
}

/** `held_until` of a lease that was given back, which no renewal that was under way brings back. */
const givenBack = 0

/** Gives the lease back, so that the next one need not wait. The row stays, since its fence must go on growing. */
export async function releaseLease(on: Queryable, lease: Lease): Promise<void> {
  await on.query(`update lease set held_until = ${givenBack} where name = $1 and fence = $2`, [lease.name, lease.fence])
}

/** Milliseconds until nobody holds any lease if none is renewed; 0 when nobody holds one now. */
export async function leasesHeldMs(on: Queryable): Promise<number> {
  const [row] = await on.query<{ ms: number }>(
    'select greatest(coalesce(max(held_until), 0) - now_ms(), 0)::int8 as ms from lease',
  )
  return row?.ms ?? 0
}

/**
 * To be called in each transaction that the lease protects. The row stays locked until that transaction ends, so nobody
 * can take the lease between this check and the commit.
 *
 * @throws LeaseLost
 */
export async function assertFence(transaction: Queryable, name: string, fence: number): Promise<void> {
  const rows = await transaction.query('select 1 from lease where name = $1 and fence = $2 for share', [name, fence])
  if (rows.length === 0) throw new LeaseLost(name)
}

/**
 * The same without a way of its own to the server: the transaction fails with LeaseLost at its next statement, at the
 * latest with the commit. For work whose only effects are in the transaction.
 */
export function requireFence(transaction: Pick<Transaction, 'write'>, name: string, fence: number): void {
  transaction.write('select hold_lease($1, $2)', [name, fence])
}
