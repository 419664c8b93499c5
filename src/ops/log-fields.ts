import { isCode } from './codes.ts'
import { describeError } from './log-error.ts'

/**
 * What may be logged: these fields, each only with a value of its kind. Everything else is dropped, whatever level is
 * set. An allow-list, because a list of what must not be logged is wrong the day somebody adds a field.
 */
type Kind = 'code' | 'number' | 'flag' | 'error'

const allowed: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...names('code', [
    'module',
    'code',
    'errcode',
    'reason',
    'state',
    'step',
    'dependency',
    'operation',
    'kind',
    'outcome',
  ]),
  ...names('code', ['signal', 'dialect', 'version', 'level', 'method', 'type', 'network']),
  ...names('number', [
    'count',
    'bytes',
    'ms',
    'durationMs',
    'waitMs',
    'retryAfterMs',
    'ageMs',
    'status',
    'attempt',
    'limit',
  ]),
  ...names('number', [
    'port',
    'pid',
    'epoch',
    'seq',
    'fence',
    'portal',
    'connection',
    'connections',
    'pending',
    'rooms',
    'ghosts',
  ]),
  ...names('flag', ['retry', 'production', 'trial', 'resumed', 'first']),
  ...names('error', ['error', 'err', 'cause', 'fault']),
])

function names(kind: Kind, list: readonly string[]): [string, Kind][] {
  return list.map((name) => [name, kind])
}

/** The fields that may be logged, of those that were given. */
export function allowedFields(fields: object): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    const kind = allowed.get(name)
    if (kind === undefined || value === undefined) continue
    if (kind === 'error') kept[name] = describeError(value)
    else if (fits(kind, value)) kept[name] = value
  }
  return kept
}

function fits(kind: Exclude<Kind, 'error'>, value: unknown): boolean {
  if (kind === 'number') return typeof value === 'number' && Number.isFinite(value)
  if (kind === 'flag') return typeof value === 'boolean'
  return isCode(value)
}

/**
 * A message is a sentence that stands in the code. One with digits, quotes, `@`, `:`, `_` or other signs of something put
 * into it is not shown.
 */
export function allowedMessage(message: string): string {
  return /^[A-Za-z][A-Za-z ,.;()'/-]{0,160}$/.test(message) ? message : '(a message that is not a plain sentence)'
}
