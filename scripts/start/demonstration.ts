import { performance } from 'node:perf_hooks'
import type { MatrixClient } from '../../test/support/matrix-client.ts'
import { openAccount, takeHandle } from '../chat/account.ts'
import { openSession } from '../chat/session.ts'
import { dataFolder } from './data.ts'

export interface DemonstrationSettings {
  service: string
  /** Folder name of the messenger user in data/chat. */
  messengerUser: string
  /** The other one: a Matrix client of its own, signed in. Without it a second messenger user takes part. */
  matrix: MatrixClient | undefined
  print: (line: string) => void
}

/** How long one message may take before the demonstration is given up. */
const PATIENCE_MS = 60_000

/**
 * A conversation for people to look at: real messages between a messenger user, who uses the client of `npm run chat` and
 * its files, and somebody else, with what each of the two sees.
 */
export async function demonstrate(settings: DemonstrationSettings): Promise<void> {
  const { service, messengerUser, matrix, print } = settings
  const ada = await openActor(service, messengerUser, print)
  try {
    await ada.does(`/name ${capital(messengerUser)}`)
    if (matrix) await withMatrix(ada, matrix, print)
    else await withMessenger(ada, service, print)
  } finally {
    await ada.leave()
  }
}

async function withMatrix(ada: Actor, matrix: MatrixClient, print: (line: string) => void): Promise<void> {
  const ben = nameOf(matrix.user)
  const says = (who: string, text: string) => print(`  ${who.padEnd(5)}│ ${text}`)
  await ada.does('/reach on')
  await ada.does(`/to ${matrix.user}`)
  const write = async (text: string) => {
    const began = performance.now()
    const arrival = matrix.untilReceived(text, { timeoutMs: PATIENCE_MS })
    await ada.does(text)
    const message = await arrival
    const shield = message.shield.colour === 'NONE' ? 'encrypted, no warning' : `shield ${message.shield.colour}`
    says(ben, `receives "${text}" after ${Math.round(performance.now() - began)} ms, ${shield}`)
    await ada.sees('delivered')
    return message
  }
  const first = await write(`Hello ${capital(ben)}, this comes from the messenger.`)
  const answer = async (text: string, replyTo: string) => {
    const began = performance.now()
    says(ben, `writes "${text}"`)
    await matrix.send(first.room, text, { replyTo })
    await ada.sees(text)
    says('', `(${Math.round(performance.now() - began)} ms from one end to the other)`)
  }
  await answer('Hello! I use an ordinary Matrix client, in a process of its own.', first.eventId)
  const second = await write('Nothing in between can read this but the edge, and that is what we are told.')
  await answer('I see the same in my room.', second.eventId)
  await ada.does('/posture')
  const notices = (await matrix.messages(first.room)).filter(({ content }) => content.msgtype === 'm.notice')
  for (const notice of notices.slice(0, 1)) says(ben, `is told: ${String(notice.content.body)}`)
  await ada.does('/safety')
}

async function withMessenger(ada: Actor, service: string, print: (line: string) => void): Promise<void> {
  const ben = await openActor(service, 'ben', print)
  try {
    await ada.does(`/to ${ben.handle}`)
    await ada.does('Hello Ben, we are both on the messenger.')
    await ben.sees('Hello Ben')
    await ben.does('/accept 1')
    await ben.does('Hello! Then nobody else can read this.')
    await ada.sees('Then nobody else')
    await ada.does('/posture')
    await ada.does('/safety')
    await ben.does('/safety')
  } finally {
    await ben.leave()
  }
}

/** A messenger user whose terminal is shown. */
interface Actor {
  handle: string
  /** Types a line and waits until that has been done. */
  does(line: string): Promise<void>
  /** Waits until a line with this text has been printed since the last that was waited for. */
  sees(text: string): Promise<void>
  leave(): Promise<void>
}

async function openActor(service: string, name: string, print: (line: string) => void): Promise<Actor> {
  const account = await openAccount({ service, folder: dataFolder('chat'), name })
  let read = 0
  const seen: string[] = []
  let wake = () => {}
  const session = await openSession({
    device: account.device,
    storage: account.storage,
    name,
    service,
    print(line) {
      print(`  ${name.padEnd(5)}│ ${line}`)
      seen.push(line)
      wake()
    },
  })
  await account.device.start()
  const handle = account.fresh
    ? await takeHandle(account.device, name)
    : ((await account.device.settings()).handle ?? name)
  return {
    handle,
    async does(line) {
      print(`  ${name.padEnd(5)}│ > ${line}`)
      const before = seen.length
      await session.execute(line)
      const refusal = seen.slice(before).find((answer) => answer.startsWith('! '))
      if (refusal) throw new Error(refusal.slice(2))
    },
    async sees(text) {
      const until = Date.now() + PATIENCE_MS
      for (;;) {
        const found = seen.findIndex((line, index) => index >= read && line.includes(text))
        if (found >= 0) {
          read = found + 1
          return
        }
        if (Date.now() > until) throw new Error(`nothing came to ${name} within ${PATIENCE_MS / 1000} s`)
        await new Promise<void>((done) => {
          wake = done
          setTimeout(done, 1_000)
        })
      }
    },
    async leave() {
      await session.settled(5_000)
      await account[Symbol.asyncDispose]()
    },
  }
}

const nameOf = (user: string): string => user.slice(1, user.indexOf(':'))
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
