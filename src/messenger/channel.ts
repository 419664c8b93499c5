import { toBase64Url } from '../crypto/index.ts'
import { type Asker, HubError, type News } from '../hub/index.ts'
import type { PutSettings } from '../protocol/index.ts'
import type { GatewayContext } from './context.ts'
import { type Courier, openCourier } from './courier.ts'
import { type Body, chatEnding, errorBody, numberOf, type Request, toGuestEnd } from './frames.ts'
import { roomOf } from './names.ts'
import { answerDevice } from './requests.ts'

export interface ChannelOptions {
  ctx: GatewayContext
  asker: Asker
  send(event: Body): void
  buffered(): number
  /** The channel is at its end: requests that name it are refused from now on. */
  onClosed(): void
}

export interface Channel {
  readonly device: string
  /** The network that the device stands for, or `own`. */
  readonly provider: string
  /** Answers a request of that many bytes, after those that came before it. Errors: HubError. */
  answer(request: Request, bytes: number): Promise<Body>
  close(): void
}

/** Requests that need not wait for the ones before them: they touch no log, and an edge may take its time to answer. */
const outOfOrder: ReadonlySet<Request['case']> = new Set(['lookUp', 'acknowledge', 'ping', 'resume', 'sendEphemeral'])

/** Requests whose bytes are kept for others to read. */
const stored: ReadonlySet<Request['case']> = new Set([
  'createRoom',
  'submitCommit',
  'submitMessage',
  'publishKeyPackages',
])

/** Messages that a request puts into a log. */
const messagesIn = (request: Request): number =>
  request.case === 'submitMessage' ? 1 + (request.value.further?.length ?? 0) : 0

/** Entries that the compliance log gets by it at most. */
const changesIn = ({ firstContact, reachable, unreachable }: PutSettings): number =>
  (firstContact === undefined ? 0 : 1) + reachable.length + unreachable.length

/** One authenticated device on a connection. */
export function openChannel({ ctx, asker, send, buffered, onClosed }: ChannelOptions): Channel {
  const { hub, settings } = ctx
  const provider = asker.network ?? 'own'
  // Later names are greater, so that of two channels that open at once exactly one stays.
  const name = `${ctx.clock().toString(36).padStart(10, '0')}${toBase64Url(ctx.crypto.randomBytes(9))}`
  let courier: Courier | undefined
  let underWay = 0
  let last: Promise<unknown> = Promise.resolve()
  let open = true

  const close = () => {
    if (!open) return
    open = false
    courier?.stop()
    stopListening()
    onClosed()
  }

  const onNews = (all: News[]) => {
    for (const news of all) {
      if (news.kind === 'unlinked') void leaveWhenUnlinked()
      if (news.kind === 'taken-over' && news.by > name && open) {
        send(errorBody(new HubError('unauthenticated')))
        close()
      }
    }
    courier?.news(all)
  }
  const stopListening = hub.listen(asker.device, onNews)
  hub.takeOver(asker.device, name)

  /** The bus says where to look; that the device is unlinked, only the database says. */
  const leaveWhenUnlinked = async (): Promise<void> => {
    while (open) {
      const device = await hub.findDevice(asker.device).catch((error: unknown) => {
        ctx.fault(error, 'unlinking')
        return 'unknown' as const
      })
      if (device !== 'unknown') {
        if (!open || device?.unlinked === false) return
        if (device?.ended) send({ case: 'guestEnded', value: { reason: toGuestEnd(device.ended) } })
        else send({ case: 'unlinked', value: {} })
        return close()
      }
      await new Promise((resolve) => setTimeout(resolve, settings.faultMs).unref())
    }
  }

  // Unlinked between being looked up and being listened for here.
  void leaveWhenUnlinked()

  const answerNow = async (request: Request): Promise<Body> => {
    if (!open) throw new HubError('unauthenticated')
    switch (request.case) {
      case 'ping':
        return { case: 'pong', value: { serverTimeMs: BigInt(ctx.clock()) } }
      case 'closeChannel':
        close()
        return { case: 'done', value: {} }
      case 'resume': {
        const window = Math.min(request.value.window || settings.window, settings.largestWindow)
        const onFault = (error: unknown) => ctx.fault(error, 'courier')
        const onDelivered = (latencyMs: number | undefined) => ctx.conduct.delivered(provider, latencyMs)
        courier?.stop()
        courier = openCourier({ hub, asker, settings, clock: ctx.clock, window, send, buffered, onFault, onDelivered })
        return { case: 'done', value: {} }
      }
      case 'acknowledge': {
        if (request.value.cursors.length + request.value.welcomes.length > settings.acknowledgements)
          throw new HubError('malformed')
        const cursors = request.value.cursors.map(({ room, seq }) => ({ room: roomOf(room), seq: numberOf(seq) }))
        const welcomes = request.value.welcomes.map(numberOf)
        await hub.acknowledge(asker.device, cursors, welcomes)
        courier?.acknowledged(cursors, welcomes)
        return { case: 'done', value: {} }
      }
      case 'extendChat': {
        const ending = await hub.extendChat(asker, roomOf(request.value.room))
        return { case: 'chatEnding', value: chatEnding(ending, ctx.clock()) }
      }
      default: {
        const answer = await answerDevice(ctx, asker, request)
        for (let left = messagesIn(request); left > 0; left--) ctx.conduct.accepted(provider)
        return answer
      }
    }
  }

  const admit = (request: Request, bytes: number) => {
    const acknowledges = request.case === 'acknowledge'
    // What is under way must not keep a device from saying what it has.
    if (underWay >= settings.channelRequests * (acknowledges ? 2 : 1))
      throw new HubError('rate-limited', { retryAfterMs: 100 })
    if (acknowledges) return
    // Beside the others, so that typing never keeps a message from being sent.
    if (request.case === 'sendEphemeral') return admitEphemeral()
    const waitMs =
      ctx.rates.requests.take(asker.device, costOf(request, bytes)) || takeBytes(request, bytes) || takeForKind(request)
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
  }

  const admitEphemeral = () => {
    const waitMs = ctx.rates.ephemeral.take(asker.device)
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
  }

  const costOf = (request: Request, bytes: number): number => {
    const packages = request.case === 'publishKeyPackages' ? request.value.keyPackages.length : 0
    return (
      Math.max(1, messagesIn(request)) +
      Math.floor(bytes / settings.requestUnitBytes) +
      Math.floor(packages / settings.requestUnitKeyPackages)
    )
  }

  const takeBytes = (request: Request, bytes: number): number =>
    stored.has(request.case) ? ctx.rates.bytes.take(asker.account, bytes) : 0

  const takeForKind = (request: Request): number => {
    if (request.case === 'report') return ctx.rates.reports.take(asker.account)
    if (asker.accountKind === 'guest') return ctx.rates.guests.take(asker.device, Math.max(1, messagesIn(request)))
    switch (request.case) {
      case 'lookUp':
        return ctx.rates.lookUps.take(asker.account)
      case 'putSettings':
        // That a handle is taken says that there is somebody of that name.
        return (
          (request.value.handle ? ctx.rates.lookUps.take(asker.account) : 0) ||
          ctx.rates.changes.take(asker.account, changesIn(request.value))
        )
      case 'createRoom':
      case 'submitCommit':
        return ctx.rates.commits.take(asker.account)
      default:
        return 0
    }
  }

  return {
    device: asker.device,
    provider,
    async answer(request, bytes) {
      admit(request, bytes)
      underWay++
      try {
        if (outOfOrder.has(request.case)) return await answerNow(request)
        // One after another: what a device submits enters the log in the order in which it was sent.
        const turn = last.then(() => answerNow(request))
        last = turn.catch(() => undefined)
        return await turn
      } finally {
        underWay--
      }
    },
    close,
  }
}
