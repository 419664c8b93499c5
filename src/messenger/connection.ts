import { HubError } from '../hub/index.ts'
import type { FramePipe } from '../protocol/index.ts'
import { type Channel, openChannel } from './channel.ts'
import type { GatewayContext } from './context.ts'
import { type Body, decodeFrame, encodeFrame, errorBody, type Request } from './frames.ts'
import { openOpenRequests } from './open-requests.ts'
import { openRate } from './rate.ts'
import { closeCodes } from './settings.ts'

export interface Connection {
  /** Says that the server goes away and closes. */
  drain(): void
}

/** One pipe with a client at its end, from Hello to close. Nothing that comes through it can throw. */
export function openConnection(
  ctx: GatewayContext,
  pipe: FramePipe,
  from: string | undefined,
  onClosed: () => void,
): Connection {
  const { hub, settings } = ctx
  const challenge = ctx.crypto.randomBytes(32)
  const channels = new Map<number, Channel>()
  /** Requests under way, with their sizes. */
  const underWay = new Map<bigint, number>()
  const rate = openRate(settings.openRequestsPerSecond, settings.openRequestBurst, ctx.clock)
  let underWayBytes = 0
  let lastChannel = 0
  let known = false
  let open = true

  const close = (code: number, reason: string) => {
    if (!open) return
    ctx.metrics.count('closed', { code: String(code) })
    pipe.close(code, reason)
    end()
  }
  const end = () => {
    if (!open) return
    open = false
    clearTimeout(timer)
    requests.close()
    for (const channel of [...channels.values()]) channel.close()
    onClosed()
  }

  const send = (id: bigint, channel: number, body: Body) => {
    if (!open) return
    if (pipe.buffered > settings.mostBytes) return close(closeCodes.overloaded, 'reads too slowly')
    pipe.send(encodeFrame(id, channel, body))
  }

  const requests = openOpenRequests({
    ctx,
    challenge,
    from,
    send: (event) => send(0n, 0, event),
    authenticated(asker) {
      if (channels.size >= settings.channels) throw new HubError('not-allowed')
      for (const other of [...channels.values()]) if (other.device === asker.device) other.close()
      known = true
      endFirstLimit?.()
      const number = ++lastChannel
      const channel = openChannel({
        ctx,
        asker,
        send: (event) => send(0n, number, event),
        buffered: () => pipe.buffered,
        onClosed: () => channels.delete(number),
      })
      channels.set(number, channel)
      return number
    },
  })

  const answer = async (number: number, request: Request, bytes: number): Promise<Body> => {
    ctx.metrics.count('requests', { request: request.case })
    const channel = channels.get(number)
    if (channel && request.case !== 'authenticate') return channel.answer(request, bytes)
    if (number !== 0 && !channel) throw new HubError('unauthenticated')
    const waitMs = rate.take()
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
    return requests.answer(request)
  }

  const refuse = (id: bigint, channel: number, error: unknown, request = 'frame') => {
    const refused = error instanceof HubError ? error : new HubError('unavailable', { cause: error })
    if (refused !== error) ctx.fault(error, 'gateway')
    ctx.metrics.count('refusals', { code: refused.code })
    ctx.conduct.refused(request, refused.code, channels.get(channel)?.provider)
    send(id, channel, errorBody(refused))
  }

  const refuseTooLarge = () => {
    if (!open) return
    refuse(0n, 0, new HubError('too-large'))
    close(closeCodes.tooLarge, 'frame too large')
  }

  const onFrame = (bytes: Uint8Array) => {
    if (!open) return
    if (bytes.length > (known ? settings.frameBytes : settings.firstFrameBytes)) return refuseTooLarge()
    const frame = decodeFrame(bytes, settings.frameValues)
    if (!frame) {
      refuse(0n, 0, new HubError('malformed'))
      return close(closeCodes.malformed, 'not a frame')
    }
    const { id, channel, request } = frame
    if (id === 0n || underWay.has(id)) return refuse(0n, channel, new HubError('malformed'))
    if (request.case === undefined) return refuse(id, channel, new HubError('unsupported'))
    const mostBytes = known ? settings.underWayBytes : settings.firstUnderWayBytes
    if (underWay.size >= settings.connectionRequests || (underWay.size > 0 && underWayBytes + bytes.length > mostBytes))
      return refuse(id, channel, new HubError('rate-limited', { retryAfterMs: 100 }))
    underWay.set(id, bytes.length)
    underWayBytes += bytes.length
    const settled = () => {
      underWay.delete(id)
      underWayBytes -= bytes.length
    }
    const begun = performance.now()
    answer(channel, request, bytes.length)
      .finally(() => {
        ctx.timers.observe('request', (performance.now() - begun) / 1000, { request: request.case })
      })
      .then(
        (body) => {
          settled()
          send(id, channel, body)
        },
        (error) => {
          settled()
          refuse(id, channel, error, request.case)
        },
      )
      // Only what cannot be encoded gets here: a fault of ours, which must not stop the process.
      .catch((error: unknown) => ctx.fault(error, 'answer'))
  }

  // A stranger's frame is refused as it grows: it would be held in memory until it is whole.
  const endFirstLimit = pipe.limitHalves?.(settings.firstFrameBytes, refuseTooLarge)
  const timer = setInterval(() => {
    if (channels.size === 0 && !requests.busy) close(closeCodes.policy, 'nobody has authenticated')
  }, settings.unauthenticatedMs)
  timer.unref()

  ctx.metrics.count('connections')
  pipe.onClose(end)
  send(0n, 0, {
    case: 'hello',
    value: {
      version: 1,
      challenge,
      provider: hub.provider,
      providerKey: hub.providerKey,
      capabilities: ['further-messages'],
      limits: {
        frameBytes: settings.frameBytes,
        messageBytes: hub.settings.messageBytes,
        commitBytes: hub.settings.commitBytes,
        roomMembers: hub.settings.roomLeaves,
        ephemeralBytes: hub.settings.ephemeralBytes,
      },
      serverTimeMs: BigInt(ctx.clock()),
    },
  })
  pipe.onFrame(onFrame)

  return {
    drain() {
      send(0n, 0, { case: 'goingAway', value: { reason: 'the server stops or restarts' } })
      close(closeCodes.goingAway, 'going away')
    },
  }
}
