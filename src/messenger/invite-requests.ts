import { toBase64Url } from '../crypto/index.ts'
import { HubError } from '../hub/index.ts'
import { type EnterInvite, inviteProofBytes } from '../protocol/index.ts'
import type { GatewayContext } from './context.ts'
import type { Body, Request } from './frames.ts'
import { accepted, creationOf, inviteOptions } from './requests.ts'

export interface InviteRequestsOptions {
  ctx: GatewayContext
  challenge: Uint8Array
  /** Sends an event on channel 0. */
  send(event: Body): void
}

type InviteRequest = Extract<Request, { case: 'openInvite' | 'enterInvite' | 'createGuestRoom' }>

/** What somebody asks on a connection who has nothing but a link. */
export function openInviteRequests({ ctx, challenge, send }: InviteRequestsOptions) {
  const { hub, crypto, settings } = ctx
  /** Links by which somebody waits to be let in, with what ends the waiting. */
  const awaited = new Map<string, () => void>()
  let closed = false

  /** Asked too often for one link, whether there is such a link or not. */
  const admit = (invite: string): void => {
    const waitMs = ctx.rates.invites.take(invite.slice(0, 32))
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
  }

  /**
   * That there is no such link is said a fixed time after it was asked for: how long it took to find out would tell a
   * link that was used, say, from one that never was.
   */
  const evenly = async (work: () => Promise<Body>): Promise<Body> => {
    const began = ctx.clock()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'not-found') throw error
      const leftMs = Math.min(settings.inviteAnswerMs, Math.max(0, began + settings.inviteAnswerMs - ctx.clock()))
      await new Promise((resolve) => setTimeout(resolve, leftMs).unref())
      throw error
    }
  }

  const enter = async ({ invite, pin, accountKey, proof, introduction }: EnterInvite): Promise<Body> => {
    if (!crypto.verify(accountKey, inviteProofBytes(challenge, invite), proof)) throw new HubError('bad-certificate')
    const name = `${invite} ${toBase64Url(accountKey)}`
    awaited.get(name)?.()
    if (awaited.size >= settings.links) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
    // From before it is asked, so that no answer is missed.
    const stop = hub.awaitAnswer(invite, accountKey, () => {
      end()
      send({ case: 'guestAnswered', value: { invite } })
    })
    const end = () => {
      stop()
      if (awaited.get(name) === end) awaited.delete(name)
    }
    awaited.set(name, end)
    let waits = false
    try {
      const value = await hub.enterInvite({ invite, pin, accountKey, introduction })
      waits = value.waiting && !closed
      return { case: 'inviteEntry', value }
    } finally {
      if (!waits) end()
    }
  }

  const answer = async (request: InviteRequest): Promise<Body> => {
    switch (request.case) {
      case 'openInvite':
        return inviteOptions(await hub.openInvite(request.value.invite))
      case 'enterInvite':
        return enter(request.value)
      case 'createGuestRoom': {
        const { invite, manifest, certificate, room } = request.value
        if (!room) throw new HubError('malformed')
        const creation = creationOf(room)
        return accepted(await hub.createGuestRoom({ invite, manifest, certificate, creation }))
      }
    }
  }

  return {
    /** Whether somebody waits here to be let in. */
    get busy(): boolean {
      return awaited.size > 0
    },
    async answer(request: InviteRequest): Promise<Body> {
      admit(request.value.invite)
      return evenly(() => answer(request))
    },
    close(): void {
      closed = true
      for (const end of [...awaited.values()]) end()
    },
  }
}
