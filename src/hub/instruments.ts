import type { Counters } from '../ops/index.ts'

/** What the hub counts. Labels have few values each and none that names a person, a device or a room. */
export const hubCounters = {
  entries: { help: 'Entries accepted into the log of a room', labels: ['kind'] },
  welcomes: { help: 'Welcomes put into mailboxes' },
  removals_proposed: { help: 'Removals proposed by the hub: unlinked devices and accounts that leave' },
  cleaned: { help: 'Rows deleted after their time', labels: ['table'] },
  faults: {
    help: 'Faults inside the hub',
    labels: ['in'],
    known: { in: ['hub', 'later', 'cleaning', 'removal', 'guests', 'link', 'store-unavailable', 'store-failed'] },
  },
} as const

export type HubMetrics = Counters<keyof typeof hubCounters>
