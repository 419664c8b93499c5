import type { FramePipe } from '../../protocol/index.ts'
import { asClientError, ClientError } from '../errors.ts'
import { createChannels } from './channels.ts'
import { backOff, pause } from './pause.ts'
import { type Connection, type ConnectionSettings, connectionDefaults, type Link } from './types.ts'
import { type Answer, decodeFrame, encodeFrame, expect, ProviderRefusal } from './wire.ts'

interface Waiting {
  resolve(answer: Answer): void
  reject(error: ClientError): void
}

/**
 * Connects, and connects again whenever the link breaks, until it is closed. A request waits for a link within its time;
 * one that was under way when the link broke is rejected ('disconnected'), since nobody can know what became of it.
 */
export function connect(pipeFactory: () => Promise<FramePipe>, options: Partial<ConnectionSettings> = {}): Connection {
  const settings = { ...connectionDefaults, ...options }
  const eventListeners = new Set<(event: Answer) => void>()
  const linkListeners = new Set<(up: boolean) => void>()
  const ended = new AbortController()
  let link: Link | undefined
  const waiters = new Set<(link: Link) => void>()
  const channels = createChannels(settings, ended.signal)
  /** How far the provider's clock is ahead of this process's own count of time, which nobody sets. */
  let ahead: number | undefined
  const heardTime = (milliseconds: number) => {
    if (milliseconds > 0) ahead = milliseconds - performance.now()
    return milliseconds
  }

  const linkWithin = (milliseconds: number): Promise<Link> => {
    if (link) return Promise.resolve(link)
    if (ended.signal.aborted) return Promise.reject(new ClientError('closed', 'the connection is closed'))
    return new Promise((resolve, reject) => {
      const finish = (then: () => void) => {
        clearTimeout(timer)
        waiters.delete(arrived)
        ended.signal.removeEventListener('abort', closed)
        then()
      }
      const arrived = (link: Link) => finish(() => resolve(link))
      const closed = () => finish(() => reject(new ClientError('closed', 'the connection is closed')))
      const timer = setTimeout(
        () => finish(() => reject(new ClientError('disconnected', 'no link in time'))),
        milliseconds,
      )
      waiters.add(arrived)
      ended.signal.addEventListener('abort', closed)
    })
  }

  const up = (next: Link) => {
    link = next
    heardTime(Number(next.hello.serverTimeMs))
    for (const arrived of [...waiters]) arrived(next)
    channels.linkUp(next)
    for (const listener of linkListeners) listener(true)
  }
  const down = () => {
    if (!link) return
    link = undefined
    channels.linkDown()
    for (const listener of linkListeners) listener(false)
  }
  const event = (channel: number, body: Answer) => {
    if (channel !== 0) channels.event(channel, body)
    else for (const listener of eventListeners) listener(body)
  }

  const keepConnected = async () => {
    let failures = 0
    while (!ended.signal.aborted) {
      let lasted = 0
      try {
        lasted = await holdLink(pipeFactory, settings, ended.signal, { up, event, heardTime })
      } catch {
        // Nobody asked for this link by itself: what waits for one hears of it when its own time is up.
      }
      down()
      failures = lasted >= settings.stableAfter ? 0 : failures + 1
      await pause(backOff(failures, settings.reconnectFirst, settings.reconnectMost), ended.signal)
    }
  }
  const running = keepConnected()

  const close = async () => {
    ended.abort()
    await running
  }
  const request: Connection['request'] = async (request) => {
    const link = await linkWithin(settings.requestTimeout)
    return link.send(0, typeof request === 'function' ? request(link.hello) : request, settings.requestTimeout)
  }
  return {
    hello: async () => (await linkWithin(settings.requestTimeout)).hello,
    request,
    providerTime: () => (ahead === undefined ? undefined : ahead + performance.now()),
    askTime: async () => heardTime(Number(expect(await request({ case: 'ping', value: {} }), 'pong').serverTimeMs)),
    channel: (options) => channels.add(options),
    onEvent(listener) {
      eventListeners.add(listener)
      return () => eventListeners.delete(listener)
    },
    onLink(listener) {
      linkListeners.add(listener)
      return () => linkListeners.delete(listener)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Opens one link and holds it until it breaks. Returns how many milliseconds it was up. */
async function holdLink(
  pipeFactory: () => Promise<FramePipe>,
  settings: ConnectionSettings,
  signal: AbortSignal,
  listener: { up(link: Link): void; event(channel: number, body: Answer): void; heardTime(milliseconds: number): void },
): Promise<number> {
  const opening = pipeFactory()
  const pipe = await Promise.race([opening, pause(settings.connectTimeout, signal)])
  if (!pipe || signal.aborted) {
    opening.then((late) => late.close(1000)).catch(() => {})
    throw new ClientError('disconnected', 'no link in time')
  }
  return new Promise((resolve, reject) => {
    const waiting = new Map<bigint, Waiting>()
    let nextId = 1n
    let since = 0
    let broken = false
    let lastHeard = performance.now()
    const end = () => {
      broken = true
      clearTimeout(greeting)
      clearInterval(ping)
      signal.removeEventListener('abort', stop)
      for (const { reject } of waiting.values()) reject(new ClientError('disconnected', 'the link broke'))
      waiting.clear()
      if (since) resolve(performance.now() - since)
      else reject(new ClientError('disconnected', 'the link broke before its greeting'))
    }
    const giveUp = (code: number, reason: string) => {
      pipe.close(code, reason)
      end()
    }
    const stop = () => giveUp(1000, 'closed')
    const send: Link['send'] = (channel, request, timeout, options) =>
      new Promise<Answer>((resolve, reject) => {
        if (broken) return reject(new ClientError('disconnected', 'the link broke'))
        const id = nextId++
        const timer = setTimeout(() => {
          waiting.delete(id)
          reject(new ClientError('timeout', `no answer to ${request.case} in time`))
        }, timeout)
        const settle = (then: () => void) => {
          clearTimeout(timer)
          waiting.delete(id)
          then()
        }
        waiting.set(id, {
          resolve: (answer) => settle(() => resolve(answer)),
          reject: (error) => settle(() => reject(error)),
        })
        pipe.send(encodeFrame(id, channel, request))
        options?.sent?.()
      })
    const greeting = setTimeout(() => giveUp(4000, 'no greeting'), settings.connectTimeout)
    const ping = setInterval(() => {
      if (!since || performance.now() - lastHeard < settings.pingInterval) return
      send(0, { case: 'ping', value: {} }, settings.pingTimeout).then(
        (pong) => pong.case === 'pong' && listener.heardTime(Number(pong.value.serverTimeMs)),
        (error: unknown) => {
          if (asClientError(error, 'timeout').code === 'timeout') giveUp(4001, 'no answer to ping')
        },
      )
    }, settings.pingInterval)
    signal.addEventListener('abort', stop)
    pipe.onClose(end)
    pipe.onFrame((bytes) => {
      lastHeard = performance.now()
      try {
        const frame = decodeFrame(bytes, settings.frameBytes)
        const body = frame.body
        if (body.case === undefined) return
        if (body.case === 'hello' && !since) {
          clearTimeout(greeting)
          if (body.value.version !== 1) return giveUp(4002, 'unknown version')
          since = performance.now()
          listener.up({ hello: body.value, send })
        } else if (frame.id === 0n) listener.event(frame.channel, body)
        else if (body.case === 'error') waiting.get(frame.id)?.reject(new ProviderRefusal(body.value))
        else waiting.get(frame.id)?.resolve(body)
      } catch {
        giveUp(1002, 'unreadable frame')
      }
    })
  })
}
