import { toBase64Url } from '../crypto/index.ts'
import { type Asker, HubError, type TokenClaims } from '../hub/index.ts'
import { accountProofBytes, authenticationBytes, type EnterInvite, inviteProofBytes } from '../protocol/index.ts'
import type { GatewayContext } from './context.ts'
import type { Body, Request } from './frames.ts'
import { deviceOf } from './names.ts'
import { accepted, creationOf, putManifest } from './requests.ts'
import type { Server } from './resolvers.ts'

export interface OpenRequestsOptions {
  ctx: GatewayContext
  challenge: Uint8Array
  /** Sends an event on channel 0. */
  send(event: Body): void
  /** A device has proved who it is. Gives the number of its channel. */
  authenticated(asker: Asker): number
}

/** A rendezvous that is waited at. */
interface Link {
  end(): void
}

/** What a connection may ask before, or without, a device: channel 0. */
export function openOpenRequests({ ctx, challenge, send, authenticated }: OpenRequestsOptions) {
  const { hub, crypto, settings } = ctx
  const links = new Map<string, Link>()
  /** Links by which somebody waits to be let in, with what ends the waiting. */
  const awaited = new Map<string, () => void>()
  const served = new Map<Server, () => void>()
  const done: Body = { case: 'done', value: {} }
  let closed = false

  /** The same answer for a device that nobody knows and for a wrong signature; only its holder learns that it is unlinked. */
  const authenticate = async (deviceId: string, signature: Uint8Array): Promise<Body> => {
    const id = deviceOf(deviceId)
    const device = id && (await hub.findDevice(id))
    const signed = authenticationBytes(challenge, hub.provider, deviceId)
    if (!device || !crypto.verify(device.deviceKey, signed, signature)) throw new HubError('unauthenticated')
    if (device.ended) throw new HubError('ended', { ended: device.ended })
    if (device.unlinked) throw new HubError('unlinked')
    if (closed) throw new HubError('unauthenticated')
    const { deviceKey: _key, manifestNumber, keyPackages, unlinked: _unlinked, ...asker } = device
    const value = { account: asker.account, manifestNumber: BigInt(manifestNumber), keyPackages }
    return { case: 'authenticated', value: { ...value, channel: authenticated(asker) } }
  }

  /** Asked too often for one link, whether there is such a link or not. */
  const admitInvite = (invite: string): void => {
    const waitMs = ctx.rates.invites.take(invite.slice(0, 32))
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
  }

  /** Tells, once, that there is an answer for who was told to wait. Listens before asking, so that none is missed. */
  const enterInvite = async ({ invite, pin, accountKey, proof, introduction }: EnterInvite): Promise<Body> => {
    if (!crypto.verify(accountKey, inviteProofBytes(challenge, invite), proof)) throw new HubError('bad-certificate')
    const name = `${invite} ${toBase64Url(accountKey)}`
    awaited.get(name)?.()
    if (awaited.size >= settings.links) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
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

  const verifyToken = async (token: string): Promise<TokenClaims> => {
    try {
      return await ctx.verifyToken(token)
    } catch (cause) {
      const passing = typeof cause === 'object' && cause !== null && 'retry' in cause && cause.retry === true
      throw new HubError(passing ? 'unavailable' : 'bad-token', { cause })
    }
  }

  const openLink = async (rendezvous: Uint8Array): Promise<Body> => {
    const name = toBase64Url(rendezvous)
    const before = links.get(name)
    if (!before && links.size >= settings.links) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
    before?.end()
    let over = false
    let stop: (() => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const link: Link = {
      end() {
        over = true
        stop?.()
        clearTimeout(timer)
        if (links.get(name) === link) links.delete(name)
      },
    }
    // Its place is taken before anything is waited for: many at once count as many.
    links.set(name, link)
    try {
      const opened = await hub.openLink(rendezvous, (payload) => {
        link.end()
        // After the answer to OpenLink, when the payload was there already.
        setImmediate(() => send({ case: 'linkCompleted', value: { payload } }))
      })
      stop = opened.stop
      timer = setTimeout(link.end, opened.forMs)
      timer.unref()
      if (over) link.end()
      return done
    } catch (error) {
      link.end()
      throw error
    }
  }

  const serveNetwork = async (network: string, accessToken: string): Promise<Body> => {
    const { kind, operator, network: own } = await verifyToken(accessToken)
    if (kind !== 'edge' || !operator || own !== network) throw new HubError('not-allowed')
    if (closed || [...served.keys()].some((server) => server.network === network)) return done
    const server: Server = {
      network,
      operator,
      ask: (resolve, value) => send({ case: 'resolveRequest', value: { resolve, network, value } }),
    }
    served.set(server, ctx.resolvers.serve(server))
    return done
  }

  return {
    /** Whether the connection is of use without a device. */
    get busy(): boolean {
      return links.size > 0 || awaited.size > 0 || served.size > 0
    },
    async answer(request: Request): Promise<Body> {
      switch (request.case) {
        case 'authenticate':
          return authenticate(request.value.deviceId, request.value.signature)
        case 'createAccount': {
          const { accessToken, accountKey, proof } = request.value
          const token = await verifyToken(accessToken)
          if (!crypto.verify(accountKey, accountProofBytes(challenge, accessToken), proof))
            throw new HubError('bad-certificate')
          return { case: 'account', value: await hub.createAccount(token, accountKey) }
        }
        case 'putManifest':
          return putManifest(hub, request.value)
        case 'openLink':
          return openLink(request.value.rendezvous)
        case 'openInvite': {
          admitInvite(request.value.invite)
          const { expiresMs, idleMs, ...options } = await hub.openInvite(request.value.invite)
          const value = { ...options, expiresMs: BigInt(expiresMs), idleMs: BigInt(idleMs) }
          return { case: 'inviteOptions', value }
        }
        case 'enterInvite': {
          admitInvite(request.value.invite)
          return enterInvite(request.value)
        }
        case 'createGuestRoom': {
          const { invite, manifest, certificate, room } = request.value
          admitInvite(invite)
          if (!room) throw new HubError('malformed')
          const creation = creationOf(room)
          return accepted(await hub.createGuestRoom({ invite, manifest, certificate, creation }))
        }
        case 'serveNetwork':
          return serveNetwork(request.value.network, request.value.accessToken)
        case 'answerResolve':
          ctx.resolvers.answer(new Set(served.keys()), request.value.resolve, request.value.account)
          return done
        case 'ping':
          return { case: 'pong', value: { serverTimeMs: BigInt(ctx.clock()) } }
        default:
          throw new HubError('unauthenticated')
      }
    },
    close(): void {
      closed = true
      for (const link of [...links.values()]) link.end()
      for (const end of [...awaited.values()]) end()
      for (const end of served.values()) end()
    },
  }
}
