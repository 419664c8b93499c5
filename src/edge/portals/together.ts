import type { StoredEvent } from '../matrix/appservice.ts'

/** What goes through one person's device together: events from a place on, as long as nothing else stands in between. */
export function together(
  events: readonly StoredEvent[],
  from: number,
  isOne: (event: StoredEvent) => boolean,
): readonly StoredEvent[] {
  const other = events.findIndex((one, index) => index > from && !isOne(one))
  return events.slice(from, other < 0 ? events.length : other)
}
