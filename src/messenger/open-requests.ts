import { toBase64Url } from '../crypto/index.ts'
import { type Asker, HubError, type TokenClaims } from '../hub/index.ts'
import { accountProofBytes, authenticationBytes } from '../protocol/index.ts'
import type { GatewayContext } from './context.ts'
import type { Body, Request } from './frames.ts'
import { openInviteRequests } from './invite-requests.ts'
import { deviceOf } from './names.ts'
import { putManifest } from './requests.ts'
import type { Server } from './resolvers.ts'
import { openWatches } from './watches.ts'

export interface OpenRequestsOptions {
  ctx: GatewayContext
  challenge: Uint8Array
  /** Stands for the network that the connection comes from; undefined: from inside this process. */
  from: string | undefined
  /** Sends an event on channel 0. */
  send(event: Body): void
  /** A device has proved who it is. Gives the number of its channel. */
  authenticated(asker: Asker): number
}

/** A rendezvous that is waited at. */
interface Link {
  end(): void
}

/** What is asked by somebody who has no device yet. To authenticate is not among it: an office comes back at once. */
const strangers: ReadonlySet<Request['case']> = new Set([
  'createAccount',
  'putManifest',
  'openLink',
  'openInvite',
  'enterInvite',
  'createGuestRoom',
])

/** What a connection may ask before, or without, a device: channel 0. */
export function openOpenRequests({ ctx, challenge, from, send, authenticated }: OpenRequestsOptions) {
  const { hub, crypto, settings } = ctx
  const links = new Map<string, Link>()
  const invites = openInviteRequests({ ctx, challenge, send })
  const served = new Map<Server, () => void>()
  const watches = openWatches({ hub, settings, send })
  const done: Body = { case: 'done', value: {} }
  let closed = false
  /** A device has authenticated: whoever it is has an account here. */
  let known = false
  /** First manifests that are still to come: one is part of a registration, which was counted. */
  let firstManifests = 0

  /** The same answer for a device that nobody knows and for a wrong signature; only its holder learns that it is unlinked. */
  const authenticate = async (deviceId: string, signature: Uint8Array): Promise<Body> => {
    const id = deviceOf(deviceId)
    const device = id && (await hub.findDevice(id))
    const signed = authenticationBytes(challenge, hub.provider, deviceId)
    if (!device || !crypto.verify(device.deviceKey, signed, signature)) throw new HubError('unauthenticated')
    if (device.ended) throw new HubError('ended', { ended: device.ended })
    if (device.unlinked) throw new HubError('unlinked')
    if (closed) throw new HubError('unauthenticated')
    const { deviceKey: _key, manifestNumber, keyPackages, unlinked: _unlinked, incarnation, ...asker } = device
    const numbers = { manifestNumber: BigInt(manifestNumber), incarnation: BigInt(incarnation) }
    const value = { account: asker.account, keyPackages, ...numbers }
    const channel = authenticated(asker)
    known = true
    return { case: 'authenticated', value: { ...value, channel } }
  }

  /** What a stranger asks for costs those who share their network, whether it is granted or not. */
  const admitStranger = (request: Request): void => {
    if (from === undefined || !strangers.has(request.case)) return
    if (request.case === 'putManifest') {
      if (known) return
      if (firstManifests > 0) return void firstManifests--
    }
    const waitMs = ctx.rates.strangers.take(from)
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
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
      return links.size > 0 || invites.busy || served.size > 0
    },
    async answer(request: Request): Promise<Body> {
      admitStranger(request)
      switch (request.case) {
        case 'authenticate':
          return authenticate(request.value.deviceId, request.value.signature)
        case 'createAccount': {
          const { accessToken, accountKey, proof } = request.value
          const token = await verifyToken(accessToken)
          if (!crypto.verify(accountKey, accountProofBytes(challenge, accessToken), proof))
            throw new HubError('bad-certificate')
          const account = await hub.createAccount(token, accountKey)
          firstManifests++
          return { case: 'account', value: account }
        }
        case 'putManifest':
          return putManifest(ctx, request.value)
        case 'openLink':
          return openLink(request.value.rendezvous)
        case 'openInvite':
        case 'enterInvite':
        case 'createGuestRoom':
          return invites.answer(request)
        case 'serveNetwork':
          return serveNetwork(request.value.network, request.value.accessToken)
        case 'watchDevices':
          await watches.watch([...served.keys()], request.value.deviceIds)
          return done
        case 'answerResolve':
          ctx.resolvers.answer(new Set(served.keys()), request.value)
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
      invites.close()
      watches.close()
      for (const end of served.values()) end()
    },
  }
}
