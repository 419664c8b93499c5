import type { StoredEvent } from '../matrix/appservice.ts'
import { hasStalled } from '../matrix/homeserver.ts'
import type { PortalContext } from './context.ts'
import { elapsed } from './elapsed.ts'

/** Invitations that fail and are remembered, some 20 MB of them: a server that makes so many is at it for two days. */
const triedLimit = 100_000

/** How long invitations that fail are tried. */
export interface Invitations {
  /**
   * Whether it is given up after this failure, and turned down then. The time counts from its first failure in this process:
   * one that waited while we were away has not been tried.
   */
  giveUp(stored: StoredEvent, error: unknown): boolean
  /** It has come to an end. */
  done(stored: StoredEvent): void
}

export function openInvitations({ homeserver, settings, clock, log, counters }: PortalContext): Invitations {
  const tried = new Map<string, number>()
  return {
    giveUp({ eventId, room, stateKey: user = '' }, error) {
      // Where the homeserver itself is away, or the messenger is, nothing can be said of the invitation.
      if (!hasStalled(error)) return false
      const since = tried.get(eventId)
      if (since === undefined) {
        for (const oldest of tried.keys()) {
          if (tried.size < triedLimit) break
          tried.delete(oldest)
        }
        tried.set(eventId, clock())
        return false
      }
      if (elapsed(clock(), since) < settings.invitationMs) return false
      log.warn({ code: 'invitation' }, 'an invitation was given up')
      counters.count('faults', { code: 'invitation' })
      // Nobody waits for it: the server that did not answer is asked for this too.
      void homeserver.leave({ user }, room).catch(() => {})
      return true
    },
    done({ eventId }) {
      tried.delete(eventId)
    },
  }
}
