import { isDeepStrictEqual } from 'node:util'
import type { Homeserver, Json, Masquerade } from './homeserver.ts'
import type { MatrixSettings } from './settings.ts'

export interface FindSent {
  /** The ghost that sent it, with its device. */
  readonly as: Masquerade
  readonly room: string
  /** Exactly what was, or may have been, put. */
  readonly content: object
  /** When it was first put, ms since the epoch: the search ends at what is older. */
  readonly sentAt: number
}

/** Clocks of the homeserver and ours may differ by so much, ms: a wrong time zone, too. Pages bound the search anyhow. */
const clockSlackMs = 24 * 60 * 60 * 1000

/**
 * Looks into the timeline for an event that may have been sent: a repeated PUT is the same event only as long as the
 * homeserver remembers its transaction id (`sendMemoryMs`). An encrypted event is known by its ciphertext, which no other
 * event has.
 *
 * @returns its event id; undefined when it is not there
 * @throws HomeserverError
 */
export async function findSent(
  homeserver: Pick<Homeserver, 'messages'>,
  { as, room, content, sentAt }: FindSent,
  settings: Pick<MatrixSettings, 'findPages'>,
): Promise<string | undefined> {
  let from: string | undefined
  for (let page = 0; page < settings.findPages; page++) {
    const { chunk, end } = await homeserver.messages(as, room, from)
    for (const event of chunk) if (event.sender === as.user && isSame(event, content)) return String(event.event_id)
    const oldest = chunk.at(-1)?.origin_server_ts
    if (end === undefined || (typeof oldest === 'number' && oldest < sentAt - clockSlackMs)) return undefined
    from = end
  }
  return undefined
}

function isSame(event: Json, content: object): boolean {
  const theirs = (event.content ?? {}) as Json
  const ours = content as Json
  if (typeof ours.ciphertext === 'string') return theirs.ciphertext === ours.ciphertext
  return isDeepStrictEqual(theirs, JSON.parse(JSON.stringify(ours)))
}

/**
 * The transaction id for a ghost's message. Synapse tells transactions apart by path and appservice only: two ghosts with
 * one id in one room, and the second message would be lost with a 200.
 *
 * @param message stable over retries; `part` tells apart several events of one message
 */
export function transactionId(ghost: string, message: string, part = ''): string {
  const localpart = ghost.slice(1, ghost.indexOf(':'))
  return [localpart, message, ...(part === '' ? [] : [part])].join('.')
}
