import type { Counters, Timers } from '../ops/index.ts'

/** What the gateway counts. Labels have few values each and none that names anybody. */
export const gatewayCounters = {
  connections: { help: 'Connections opened' },
  requests: { help: 'Requests by kind', labels: ['request'] },
  refusals: { help: 'Requests refused, by code', labels: ['code'] },
  faults: {
    help: 'Faults inside the gateway',
    labels: ['in'],
    known: { in: ['gateway', 'answer', 'courier', 'unlinking'] },
  },
  closed: { help: 'Connections closed by the gateway, by reason', labels: ['code'] },
} as const

export const gatewayTimers = {
  request: { help: 'Requests of devices, from taking to answering, by kind', labels: ['request'] },
} as const

export type GatewayMetrics = Counters<keyof typeof gatewayCounters>
export type GatewayTimers = Timers<keyof typeof gatewayTimers>
