import type { StoredEvent } from '../matrix/appservice.ts'
import type { PortalContext } from './context.ts'
import { openRate } from './rates.ts'
import { words } from './words.ts'

/**
 * Turns down invitations of ids that look like a ghost's and are nobody's: whoever invited would wait for ever. Only a user
 * of the homeserver can do that, so one is made for it.
 */
export function answerForNobody({ homeserver, settings, clock }: PortalContext) {
  const rate = openRate(settings.nobodyInvited, clock)
  return async ({ stateKey: user = '', room }: StoredEvent): Promise<void> => {
    if (!rate.take('all')) return
    await homeserver.registerUser(user.slice(1, user.indexOf(':')))
    await homeserver.leave({ user }, room, words.nobody())
  }
}
