import { AsyncLocalStorage } from 'node:async_hooks'
import type { Transaction } from './database.ts'
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

export interface Statement {
  readonly text: string
  readonly parameters: readonly unknown[]
}

export interface Answer {
  readonly rows: Record<string, unknown>[]
  /** What the server says was done: `COMMIT`, or `ROLLBACK` where a commit was asked for in vain. */
  readonly command: string
}

/**
 * One connection, as a transaction uses it: runs statements one after the other, sent together, in one round trip. Rejects
 * with the failure of the first that fails; those after it have no effect then.
 */
export type Send = (statements: readonly Statement[]) => Promise<readonly Answer[]>

const control = (text: 'begin' | 'commit' | 'rollback'): Statement => ({ text, parameters: [] })

interface Asked extends Statement {
  /** Somebody waits for these rows. */
  readonly given?: ((rows: Record<string, unknown>[]) => void) | undefined
  readonly refused?: (error: unknown) => void
}

/**
 * Runs `work` in a transaction. Its statements run one after the other, in the order in which they were asked for; those
 * that are left when the work ends are refused, since they would run outside of it. What is asked for at once goes to the
 * server together, and so do the beginning, and what is only written, with what comes after them. Work that asks for
 * nothing costs nothing.
 */
export async function inTransaction<T>(
  send: Send,
  afterCommit: (callback: () => void) => void,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const alone = takeTurns()
  const lasts: (() => Promise<void>)[] = []
  let waiting: Asked[] = [control('begin')]
  let begun = false
  let failed = false
  let over = false
  const sendWaiting = async (): Promise<readonly Answer[]> => {
    const sent = waiting
    waiting = []
    try {
      // Perhaps it has not even begun: what comes now would run outside of it.
      if (failed) throw new StoreError('aborted', 'an earlier statement of this transaction failed')
      begun = true
      const answers = await send(sent)
      for (const [index, { given }] of sent.entries()) given?.(answers[index]!.rows)
      return answers
    } catch (error) {
      failed = true
      for (const { refused } of sent) refused?.(error)
      throw error
    }
  }
  const refuseWhenOver = () => {
    if (over) throw new StoreError('closed', 'the transaction is over')
  }
  const query = <Row>(text: string, parameters: readonly unknown[] = []) =>
    new Promise<Row[]>((resolve, reject) => {
      refuseWhenOver()
      waiting.push({ text, parameters, given: (rows) => resolve(rows as Row[]), refused: reject })
      // The first of what is asked for at once sends all of it.
      alone(async () => {
        if (waiting.some(({ refused }) => refused !== undefined)) await sendWaiting()
      }).catch(() => undefined)
    })
  const write: Transaction['write'] = (text, parameters = [], take) => {
    refuseWhenOver()
    waiting.push({ text, parameters, given: take as Asked['given'] })
  }
  /** What was asked for and not waited for is refused. */
  const end = async () => {
    over = true
    const left = waiting.filter(({ refused }) => refused !== undefined)
    waiting = waiting.filter(({ refused }) => refused === undefined)
    for (const { refused } of left) refused?.(new StoreError('closed', 'the transaction is over'))
    await alone(async () => undefined)
  }
  try {
    const result = await work({ query, write, afterCommit, beforeCommit: (last) => void lasts.push(last) })
    for (const last of lasts) await last()
    await end()
    if (!begun && waiting.length === 1) return result
    waiting.push(control('commit'))
    if ((await sendWaiting()).at(-1)!.command === 'ROLLBACK')
      throw new StoreError('aborted', 'a statement had failed inside the transaction; nothing was committed')
    return result
  } catch (error) {
    await end()
    if (begun) await send([control('rollback')]).catch(() => undefined)
    throw error
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
