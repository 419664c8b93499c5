/** What the ordeal needs of a homeserver: one in memory, which is fast and loses answers, or a real Synapse. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { startMatrixClient } from '../matrix-client.ts'
import { type MegolmUse, megolmUse } from '../megolm.ts'
import type { ServiceOptions } from '../service.ts'
import { stubHomeserver } from '../stub/index.ts'
import { testSynapse } from '../synapse.ts'

/** A Matrix user with one device. */
export interface OrdealUser {
  readonly user: string
  /** Encrypts and sends; tries again until the homeserver has it. */
  send(room: string, text: string): Promise<unknown>
  /** Messages that could not be decrypted yet, as far as was read. */
  unread(): number
}

export interface OrdealHomeserver extends AsyncDisposable {
  readonly access: NonNullable<ServiceOptions['synapse']>
  user(name: string, onText: (text: string, room: string) => void): Promise<OrdealUser>
  /** Goes away as by kill -9; what it has stays. */
  interrupt(): Promise<void>
  resume(): Promise<void>
  /** Takes connections and answers nothing for so long, where it can. */
  stall?(ms: number): Promise<void>
  /** The next so many answers are lost on their way, where it can. */
  loseAnswers?(count: number): void
  /** To-device messages that wait for our ghosts' devices. */
  ghostInbox(): number | Promise<number>
  /** All that was sent encrypted by anybody, by what it used up. */
  megolm(): MegolmUse[] | Promise<MegolmUse[]>
}

export async function stubbed(): Promise<OrdealHomeserver> {
  const stub = await stubHomeserver({ keep: false })
  return {
    access: stub,
    async user(name, onText) {
      const user = await stub.user(name)
      user.onSeen = ({ content, room }) => {
        if (typeof content.body === 'string') onText(content.body, room)
      }
      return { user: user.user, send: user.send, unread: () => user.unread }
    },
    interrupt: stub.interrupt,
    resume: stub.resume,
    loseAnswers: stub.loseAnswers,
    ghostInbox: stub.ghostInbox,
    megolm() {
      const events = [...stub.rooms.rooms.values()].flatMap(({ timeline }) => timeline)
      return events.flatMap(({ type, content }) => (type === 'm.room.encrypted' ? [megolmUse(content)] : []))
    },
    [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose](),
  }
}

/** What Synapse has, from its own database. */
const open = (folder: string) => new DatabaseSync(join(folder, 'homeserver.db'), { readOnly: true })

/** How often a real client is asked what it has read, ms. */
const lookEveryMs = 500

export async function real(): Promise<OrdealHomeserver> {
  // Whoever was cut off reads all that came meanwhile with the next sync, so that no test has to page back.
  const synapse = await testSynapse({ filter_timeline_limit: 100_000 })
  const stops: (() => Promise<unknown>)[] = []
  return {
    access: synapse,
    async user(name, onText) {
      const client = await startMatrixClient({ synapse, name, timelineLimit: 100_000 })
      let unread = 0
      let over = false
      const look = async () => {
        for (const taken = new Set<string>(); !over; await sleep(lookEveryMs))
          for (const room of await client.joined()) {
            const messages = await client.messages(room)
            unread = messages.filter(({ failure }) => failure !== undefined).length
            // Own messages change their place when they are sent again, so none is found by its place.
            for (const { eventId, failure, sender, content } of messages) {
              if (sender === client.user || taken.has(eventId)) continue
              // What cannot be read yet holds up what came after it: order is what is looked at here.
              if (failure !== undefined) break
              taken.add(eventId)
              onText(String(content.body), room)
            }
          }
      }
      const looking = look()
      looking.catch(() => {})
      stops.push(async () => {
        over = true
        await looking.finally(() => client.stop())
      })
      return {
        user: client.user,
        send: (room, text) => client.send(room, text, { insist: true }),
        unread: () => unread,
      }
    },
    interrupt: synapse.interrupt,
    resume: synapse.resume,
    async stall(ms) {
      synapse.pause()
      await sleep(ms)
      synapse.continue()
    },
    ghostInbox() {
      using database = open(synapse.folder)
      const prefix = `@${synapse.registration.userPrefix}%`
      const [row] = database.prepare('select count(*) as count from device_inbox where user_id like ?').all(prefix)
      return Number(row?.count)
    },
    megolm() {
      using database = open(synapse.folder)
      const rows = database
        .prepare("select json from event_json join events using (event_id) where type = 'm.room.encrypted'")
        .all()
      return rows.map(({ json }) => megolmUse(JSON.parse(String(json)).content))
    },
    async [Symbol.asyncDispose]() {
      for (const stop of stops) await stop()
      await synapse.stop()
    },
  }
}
