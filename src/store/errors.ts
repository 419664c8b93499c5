/**
 * What can go wrong in the store, by what a caller can do about it:
 *
 * - `locked`: another process has the data directory open.
 * - `unavailable`: the database cannot be reached, is shutting down, or the connection broke. When it broke during a
 *   commit, the transaction may or may not have happened.
 * - `busy`: deadlock, serialization failure or a lock that was not given in time; the transaction was rolled back.
 * - `conflict`: a row with this key exists already.
 * - `constraint`: another rule of the schema was broken.
 * - `value`: a parameter or a result cannot be represented.
 * - `disk`: the disk did not take what was written; this process must not go on with the database.
 * - `full`: no room left on disk, or a resource limit of the server.
 * - `aborted`: a statement had failed inside the transaction, and its failure was not passed on.
 * - `nested`: the database was used inside one of its own transactions instead of the transaction.
 * - `lease-lost`: somebody else holds the lease by now.
 * - `sealed`: a sealed value cannot be opened: wrong key, wrong place, or changed bytes.
 * - `migration`: schema and program do not belong together.
 * - `closed`: the database was closed.
 * - `failed`: everything else, which is a fault in the program.
 */
export type StoreErrorCode =
  | 'locked'
  | 'unavailable'
  | 'busy'
  | 'conflict'
  | 'constraint'
  | 'value'
  | 'disk'
  | 'full'
  | 'aborted'
  | 'nested'
  | 'lease-lost'
  | 'sealed'
  | 'migration'
  | 'closed'
  | 'failed'

const helped: ReadonlySet<StoreErrorCode> = new Set(['unavailable', 'busy', 'full'])

export interface StoreErrorDetails {
  /** SQLSTATE, five characters. */
  readonly sqlState?: string
  readonly constraint?: string
  readonly table?: string
}

/**
 * The only error that the store throws. It never carries a parameter, a value of a row or the driver's own error, all of
 * which may hold what must not reach a log.
 */
export class StoreError extends Error {
  readonly code: StoreErrorCode
  /** Whether the same transaction, begun anew, can succeed without anybody's help. */
  readonly retry: boolean
  readonly sqlState: string | undefined
  readonly constraint: string | undefined
  readonly table: string | undefined

  constructor(code: StoreErrorCode, message: string, details: StoreErrorDetails = {}) {
    super(message)
    this.name = 'StoreError'
    this.code = code
    this.retry = helped.has(code)
    this.sqlState = details.sqlState
    this.constraint = details.constraint
    this.table = details.table
  }
}

/** Somebody else holds the lease by now: stop, write nothing more. */
export class LeaseLost extends StoreError {
  constructor(name = '') {
    super('lease-lost', `the lease ${name} is held by somebody else by now`.replace('  ', ' '))
    this.name = 'LeaseLost'
  }
}

/** Whether this is a StoreError, optionally with one of these codes. */
export function isStoreError(error: unknown, ...codes: StoreErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code))
}

/** SQLSTATE of the function hold_lease (migrations). */
const leaseLost = 'SL001'

interface DriverError {
  code?: unknown
  constraint?: unknown
  table?: unknown
  message?: unknown
}

/**
 * Turns what a driver threw into a StoreError. Messages of the server repeat values ("invalid input syntax for type
 * integer: …", "Key (handle)=(…) already exists"), so only those of class 42, which speak of the statement's own text,
 * are kept.
 */
export function fromDriver(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const driver = (typeof error === 'object' && error !== null ? error : {}) as DriverError
  const code = typeof driver.code === 'string' ? driver.code : ''
  if (!/^[0-9A-Z]{5}$/.test(code)) return fromTransport(code, error)
  const details: StoreErrorDetails = {
    sqlState: code,
    ...(typeof driver.constraint === 'string' ? { constraint: driver.constraint } : {}),
    ...(typeof driver.table === 'string' ? { table: driver.table } : {}),
  }
  const where = details.constraint ? ` (${details.constraint})` : ''
  if (code === leaseLost) return new LeaseLost()
  if (code === '23505') return new StoreError('conflict', `such a row exists already${where}`, details)
  if (code.startsWith('23')) return new StoreError('constraint', `a rule of the schema was broken${where}`, details)
  if (code === '40001' || code === '40P01' || code === '55P03' || code === '57014')
    return new StoreError('busy', `the transaction could not get what it needed (${code})`, details)
  if (code.startsWith('08') || code === '57P01' || code === '57P02' || code === '57P03' || code === '25P03')
    return new StoreError('unavailable', `the database is not available (${code})`, details)
  if (code.startsWith('53')) return new StoreError('full', `the database has run out of a resource (${code})`, details)
  if (code.startsWith('22')) return new StoreError('value', `a value does not fit its type (${code})`, details)
  if (code === '25P02') return new StoreError('aborted', 'an earlier statement of this transaction failed', details)
  if (code === 'XX001' || code === 'XX002') return new StoreError('failed', `the data is damaged (${code})`, details)
  const said = code.startsWith('42') && typeof driver.message === 'string' ? `: ${driver.message}` : ''
  return new StoreError('failed', `the statement failed (${code})${said}`, details)
}

function fromTransport(code: string, error: unknown): StoreError {
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StoreError('full', `no room left on disk (${code})`)
  if (/^E[A-Z]+$/.test(code)) return new StoreError('unavailable', `the database cannot be reached (${code})`)
  const message = error instanceof Error ? error.message : ''
  if (/terminat|timeout|Connection|pool/i.test(message))
    return new StoreError('unavailable', 'the connection to the database broke or was not given in time')
  const name = error instanceof Error ? error.name : typeof error
  return new StoreError('failed', `the database driver failed (${name})`)
}
