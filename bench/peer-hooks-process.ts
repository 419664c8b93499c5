// The messenger's people of peer-ours.ts, each with a device, behind the hooks by which the peer's harness reaches the
// remote side of a bridge. A message that a device has decrypted is a line of a file.
import { openSync, writeSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { endWithParent } from '../scripts/support/end-with-parent.ts'
import { readText, textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type MessengerPerson, newPerson } from '../test/support/messenger-person.ts'

export interface HooksOptions {
  readonly service: string
  /** The homeserver in memory, and whoever may ask it anything. */
  readonly homeserver: string
  readonly asToken: string
  /** The harness' Matrix user. */
  readonly user: string
  readonly log: string
}

interface Portal {
  readonly person: MessengerPerson
  readonly room: RoomId
  readonly mxid: string
}

/** How long the homeserver keeps a request for news, ms. */
const newsMs = 1_000

endWithParent()
const options = JSON.parse(process.argv[2]!) as HooksOptions
const log = openSync(options.log, 'a')
const portals: Portal[] = []

/** Unix time to the microsecond, written in nanoseconds. */
const now = () => `${Math.round((performance.timeOrigin + performance.now()) * 1000)}000`

/** Rooms of the user's invitations in which something has happened since; the homeserver lets us ask on anybody's behalf. */
async function invitations(since: string): Promise<{ rooms: string[]; next: string }> {
  const query = new URLSearchParams({ user_id: options.user, since, timeout: String(since === '' ? 0 : newsMs) })
  const answer = await fetch(`${options.homeserver}/_matrix/client/v3/sync?${query}`, {
    headers: { authorization: `Bearer ${options.asToken}` },
  })
  const { next_batch: next, rooms } = (await answer.json()) as { next_batch: string; rooms: { invite: object } }
  return { rooms: Object.keys(rooms.invite), next }
}

/** One person who begins a conversation with the Matrix user; the only one meanwhile, so the new room is theirs. */
async function openPortal(): Promise<{ portal: string; mxid: string; senders: string[] }> {
  const number = portals.length
  let { next } = await invitations('')
  const person = await newPerson(options.service, `person-${number}`)
  person.device.on('message', ({ content, own }) => {
    if (!own) writeSync(log, `${now()} ${number} - ${readText(content)?.plain}\n`)
  })
  const room = await person.device.conversationWith({ network: 'matrix', value: options.user })
  for (;;) {
    const news = await invitations(next)
    const mxid = news.rooms.find((each) => !portals.some((portal) => portal.mxid === each))
    next = news.next
    if (mxid === undefined) continue
    portals.push({ person, room, mxid })
    return { portal: String(number), mxid, senders: ['-'] }
  }
}

/** Answers when the provider has accepted all of them. */
async function inject(messages: readonly { portal: string; body: string }[]): Promise<void> {
  const accepted: Promise<unknown>[] = []
  for (const { portal, body } of messages) {
    const { person, room } = portals[Number(portal)]!
    accepted.push((await person.device.send(room, textMessage({ plain: body }))).accepted)
  }
  await Promise.all(accepted)
}

async function answer(path: string, body: unknown): Promise<unknown> {
  switch (path) {
    case '/portals': {
      const made: object[] = []
      while (made.length < (body as { count: number }).count) made.push(await openPortal())
      return made
    }
    case '/inject':
      await inject(body as Parameters<typeof inject>[0])
      return {}
    case '/_matrix/mau/ready':
      return (await fetch(`${options.service}/readyz`)).ok ? {} : undefined
    default:
      // Nobody has to log in, and what it is asked besides is only whether it is there.
      return { login_id: '-', step_id: '-' }
  }
}

async function read(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

const server = createServer(async (request, response) => {
  try {
    const result = await answer(new URL(request.url ?? '/', 'http://hooks').pathname, await read(request))
    response.writeHead(result === undefined ? 503 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(result ?? {}))
  } catch (error) {
    response.writeHead(503)
    response.end(error instanceof Error ? error.message : '')
  }
})
server.listen(0, '127.0.0.1', () => process.send!(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
