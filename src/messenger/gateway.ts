import type { Crypto } from '../crypto/index.ts'
import { type Hub, HubError, type TokenClaims } from '../hub/index.ts'
import type { FramePipe } from '../protocol/index.ts'
import { type Connection, openConnection } from './connection.ts'
import type { Conduct, GatewayContext } from './context.ts'
import type { GatewayMetrics, GatewayTimers } from './instruments.ts'
import { openRates } from './rate.ts'
import { openResolvers } from './resolvers.ts'
import { closeCodes, defaultGatewaySettings, type GatewaySettings } from './settings.ts'

export interface GatewayOptions {
  hub: Hub
  crypto: Crypto
  /** Gives what a token says; throws when it is not valid (with `retry: true` when that could not be found out). */
  verifyToken: (token: string) => Promise<TokenClaims>
  settings?: Partial<GatewaySettings>
  metrics?: GatewayMetrics
  conduct?: Conduct
  timers?: GatewayTimers
  /** Told of each fault of ours, for a log: of the error only kind and place may be shown. `where` is one of few words. */
  onFault?: (error: unknown, where: string) => void
  /** Milliseconds since the epoch. */
  clock?: () => number
}

export interface Gateway {
  /**
   * Serves a client at the other end of the pipe until it closes. `from` stands for the network that it comes from: what
   * strangers may ask for is counted by it. Without it, for a pipe inside the process, it is not counted.
   */
  connect(pipe: FramePipe, from?: string): void
  /** Tells every client that the server goes away and closes its pipe; new ones are turned away. */
  drain(): void
  /** Pipes that are open. */
  readonly connections: number
}

export function openGateway(options: GatewayOptions): Gateway {
  const settings = { ...defaultGatewaySettings, ...options.settings }
  const clock = options.clock ?? Date.now
  const ctx: GatewayContext = {
    hub: options.hub,
    crypto: options.crypto,
    verifyToken: options.verifyToken,
    settings,
    metrics: options.metrics ?? { count: () => undefined },
    conduct: options.conduct ?? { refused: () => undefined, accepted: () => undefined, delivered: () => undefined },
    timers: options.timers ?? { observe: () => undefined },
    fault(error, where) {
      ctx.metrics.count('faults', { in: where })
      // What is behind one of the hub's own errors, the hub has told.
      if (!(error instanceof HubError)) options.onFault?.(error, where)
    },
    resolvers: openResolvers(settings),
    rates: {
      requests: openRates(settings.requestsPerSecond, settings.requestBurst, clock),
      lookUps: openRates(settings.lookUpsPerMinute / 60, settings.lookUpsPerMinute, clock),
      commits: openRates(settings.commitsPerMinute / 60, settings.commitBurst, clock),
      reports: openRates(settings.reportsPerDay / 86_400, settings.reportsPerDay, clock),
      changes: openRates(settings.changesPerHour / 3600, settings.changeBurst, clock),
      bytes: openRates(settings.accountBytesPerHour / 3600, settings.accountBytesBurst, clock),
      ephemeral: openRates(settings.ephemeralPerSecond, settings.ephemeralBurst, clock),
      guests: openRates(settings.guestRequestsPerMinute / 60, settings.guestRequestsPerMinute, clock),
      strangers: openRates(settings.strangerRequestsPerMinute / 60, settings.strangerRequestsPerMinute, clock),
      invites: openRates(settings.inviteRequestsPerMinute / 60, settings.inviteRequestsPerMinute, clock),
    },
    clock,
  }
  const connections = new Set<Connection>()
  let draining = false
  return {
    connect(pipe, from) {
      if (draining) return pipe.close(closeCodes.goingAway, 'going away')
      const connection = openConnection(ctx, pipe, from, () => connections.delete(connection))
      connections.add(connection)
    },
    drain() {
      draining = true
      for (const connection of [...connections]) connection.drain()
    },
    get connections() {
      return connections.size
    },
  }
}
