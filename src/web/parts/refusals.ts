import { ClientError } from '../../client/index.ts'
import { sentence, type TextKey } from '../texts/index.ts'
import { say } from './language.ts'

const known: Readonly<Record<string, TextKey>> = {
  'text-only': 'refused.textOnly',
  'too-large': 'refused.large',
  'rate-limited': 'refused.limited',
  blocked: 'refused.blocked',
  'not-allowed': 'refused.left',
  ended: 'refused.left',
  'request-limit': 'refused.request',
  'consent-required': 'refused.consent',
  'not-reachable': 'refused.unreachable',
  'not-opted-in': 'refused.unreachable',
  'not-found': 'refused.unreachable',
  'handle-taken': 'refused.handle',
  'key-changed': 'refused.key',
  storage: 'trouble.storage',
  'wrong-clock': 'trouble.clock',
}

/** Why something was refused, as it stands within a sentence: of an error or of its code. */
export function whyRefused(error: unknown): string {
  const code = error instanceof ClientError ? error.code : String(error)
  return say(known[code] ?? 'refused.other')
}

/** The same as a sentence of its own. */
export const explainRefusal = (error: unknown): string => sentence(whyRefused(error))
