import type { Json } from '../homeserver.ts'
import type { Timeline } from './types.ts'

/** Events asked for first: mostly nothing is missing, and the last known event is among the newest. */
const firstPage = 20
const page = 100

/**
 * What stands in a timeline behind an event, oldest first.
 * @param pages asked for at most
 * @returns undefined when the event is not within these pages
 * @throws HomeserverError
 */
export async function timelineBehind(timeline: Timeline, until: string, pages: number): Promise<Json[] | undefined> {
  const found: Json[] = []
  let from: string | undefined
  for (let asked = 0; asked < pages; asked++) {
    const { chunk, end } = await timeline.read(from, asked === 0 ? firstPage : page)
    for (const event of chunk) {
      if (event.event_id === until) return found.reverse()
      found.push(event)
    }
    if (end === undefined) break
    from = end
  }
  return undefined
}
