import { AsyncLocalStorage } from 'node:async_hooks'
import type { Queryable, Transaction } from './database.ts'
import { StoreError } from './errors.ts'
import { takeTurns } from './turns.ts'

/** The callbacks of one transaction, to run once it is committed. */
export function afterCommits(onFault: ((fault: unknown) => void) | undefined) {
  const callbacks: (() => void)[] = []
  return {
    add(callback: () => void): void {
      callbacks.push(callback)
    },
    run(): void {
      for (const callback of callbacks) {
        try {
          callback()
        } catch (error) {
          onFault?.(error)
        }
      }
    },
  }
}

/**
 * Something that a transaction gathers, made when it is first asked for, and written when the transaction's work is done.
 */
export function gathered<T>(
  make: () => T,
  write: (transaction: Transaction, all: T) => Promise<void>,
): (transaction: Transaction) => T {
  const all = new WeakMap<Transaction, T>()
  return (transaction) => {
    const known = all.get(transaction)
    if (known !== undefined) return known
    const fresh = make()
    all.set(transaction, fresh)
    transaction.beforeCommit(() => write(transaction, fresh))
    return fresh
  }
}

/**
 * The transaction that `work` is given. Its statements run one after the other, also when they were asked for at once;
 * those that are left when the work ends are refused, since they would run outside of it.
 */
export async function giveTransaction<T>(
  query: Queryable['query'],
  afterCommit: (callback: () => void) => void,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const alone = takeTurns()
  const lasts: (() => Promise<void>)[] = []
  let over = false
  try {
    const result = await work({
      beforeCommit: (last) => void lasts.push(last),
      afterCommit,
      query: <Row>(text: string, parameters?: readonly unknown[]) =>
        alone(async () => {
          if (over) throw new StoreError('closed', 'the transaction is over')
          return query<Row>(text, parameters)
        }),
    })
    for (const last of lasts) await last()
    return result
  } finally {
    over = true
    await alone(async () => undefined)
  }
}

/**
 * Knows whether the running code is inside a transaction of this database, so that a query that would wait for its own
 * transaction fails at once and on both dialects alike, and whether the database is closed.
 */
export function guard() {
  const current = new AsyncLocalStorage<{ open: boolean }>()
  let closed = false
  let running = 0
  let whenIdle: (() => void) | undefined
  return {
    /** @throws StoreError `closed` or `nested` */
    outside(): void {
      if (closed) throw new StoreError('closed', 'the database is closed')
      if (current.getStore()?.open)
        throw new StoreError(
          'nested',
          'inside a transaction only the transaction may be used, never the database itself',
        )
    },
    async inside<T>(work: () => Promise<T>): Promise<T> {
      const scope = { open: true }
      running++
      try {
        return await current.run(scope, work)
      } finally {
        // Code started in there may run on after it, and is then free to use the database.
        scope.open = false
        running--
        if (running === 0) whenIdle?.()
      }
    },
    /** False when it was closed already. */
    close(): boolean {
      const first = !closed
      closed = true
      return first
    },
    /** Resolves when no transaction's work is running. */
    async idle(): Promise<void> {
      if (running > 0) await new Promise<void>((resolve) => (whenIdle = resolve))
    },
  }
}
