import { LogError, type LogErrorCode } from '../../audit/log/index.ts'
import { type Refusal, RefusedError } from './log-client.ts'

const refusals: Record<Refusal, string> = {
  key: 'This key cannot be used: a character of it is wrong or missing. Copy it as the operator gave it to you (name+hash+key).',
  characters: 'This credential has characters that none has. Copy it as the operator gave it to you.',
  credential: 'The service does not know this credential, or no longer. Ask the operator for a new one.',
  changed:
    'This credential is not as it was admitted to the log, and opens nothing any more. Ask the operator for a new one.',
  scope:
    'This credential is good, but not for this page, which needs the scopes log and query. Ask the operator for one with both.',
  busy: 'The service answers others at the moment. Nothing is lost; try again.',
  offline: 'The service cannot be reached. What you see stays; try again.',
  fault: 'The service has a fault. Nothing is lost; try again later.',
}

const faults: Partial<Record<LogErrorCode, string>> = {
  malformed: 'What the service serves is not a log that can be read.',
  unsigned: 'The log is not signed by this key. Compare the key with the one that the operator gave you.',
  'bad-signature': 'The signature under the checkpoint is forged.',
  'wrong-origin': 'The checkpoint is of another log.',
  missing: 'A part of the log that its checkpoint promises is not there.',
  'root-mismatch': 'The entries do not give the root that was signed: something was changed.',
  'bad-proof': 'An entry that the service gave is not in the signed log. Nothing of that answer is shown.',
  inconsistent: 'The log does not continue the one that this browser saw before: it was rewritten.',
}

/** What happened, and what to do next. */
export function problemText(error: unknown): string {
  if (error instanceof RefusedError) return refusals[error.why]
  if (error instanceof LogError) return faults[error.code] ?? 'The log does not hold.'
  return 'This page has a fault. Load it again.'
}

const forms = {
  moment: new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' }),
  date: new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeZone: 'UTC' }),
  day: new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', timeZone: 'UTC' }),
  hour: new Intl.DateTimeFormat('en', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    hour12: false,
    timeZone: 'UTC',
  }),
  number: new Intl.NumberFormat('en'),
  share: new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 2 }),
}

export const moment = (at: number): string => (Number.isFinite(at) ? `${forms.moment.format(at)} UTC` : '')
export const date = (at: number): string => forms.date.format(at)
export const dayOrHour = (at: number, by: 'day' | 'hour'): string => forms[by].format(at)
export const number = (value: number): string => forms.number.format(value)
export const share = (value: number): string => forms.share.format(value)
export const milliseconds = (ms: number): string =>
  ms < 10_000 ? `${number(ms)} ms` : `${number(Math.round(ms / 1000))} s`

/** A provider as people know it. */
export const providerName = (provider: string): string => (provider === 'own' ? 'Own users' : provider)
