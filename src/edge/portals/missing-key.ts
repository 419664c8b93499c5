import type { StoredEvent } from '../matrix/appservice.ts'
import { elapsed } from './elapsed.ts'
import type { PortalSettings } from './settings.ts'

/**
 * How long a room still waits for the key of an event, in ms; 0: no longer. The time runs from when the event was stored,
 * but is not over before the homeserver was asked once for what it kept since: after a start, or behind a lost
 * transaction, that is where the key is. While waiting it is asked again now and then.
 */
export function waitForKey(
  { missingKeyMs, missingKeyMostMs, missingKeyRetryMs }: PortalSettings,
  now: number,
  { receivedAt }: Pick<StoredEvent, 'receivedAt'>,
  { inboxReadAt }: { readonly inboxReadAt: number },
): number {
  const waited = elapsed(now, receivedAt)
  if (waited >= missingKeyMostMs || (waited >= missingKeyMs && inboxReadAt > receivedAt)) return 0
  return Math.max(1, Math.min(missingKeyRetryMs, waited < missingKeyMs ? missingKeyMs - waited : missingKeyRetryMs))
}
