import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, joinByInvite, memoryStorage, webSocketPipe } from '../src/client/index.ts'
import { mediaTypes, singlePart, textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { newPerson } from './support/messenger-person.ts'
import { type MessengerService, startMessengerService } from './support/messenger-service.ts'

const program = fileURLToPath(new URL('../scripts/chat.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'silta-chat-'))
const patienceMs = 60_000
const running = new Set<Terminal>()

let service: MessengerService
before(async () => {
  service = await startMessengerService()
})
after(async () => {
  for (const terminal of running) terminal.kill()
  await service?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Somebody at a terminal of their own. */
class Terminal {
  printed = ''
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown[]>
  #read = 0

  constructor(...options: string[]) {
    this.#child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', program, '--service', service.url, ...options],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, SILTA_DEV_DATA: folder, SILTA_PARENT: String(process.pid) },
      },
    )
    this.#ended = once(this.#child, 'exit')
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.printed += text
    })
    running.add(this)
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** The first match in what was printed and not looked at yet. */
  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    const until = Date.now() + patienceMs
    for (;;) {
      const match = new RegExp(pattern, 'm').exec(this.printed.slice(this.#read))
      if (match) {
        this.#read += match.index + match[0].length
        return match
      }
      if (Date.now() > until) assert.fail(`${pattern} did not appear. Printed:\n${this.printed}`)
      await sleep(20)
    }
  }

  async quit(): Promise<void> {
    this.type('/quit')
    const [code] = await this.#ended
    assert.equal(code, 0, this.printed)
    running.delete(this)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

/** What /rooms says. */
async function roomOf(terminal: Terminal, pattern: RegExp): Promise<RegExpExecArray> {
  terminal.type('/rooms')
  return terminal.sees(pattern)
}

describe('npm run chat', () => {
  test('two people in two terminals find each other, write, answer and see what became of it', async () => {
    const ada = new Terminal('--as', 'ada')
    const ben = new Terminal('--as', 'ben')
    await Promise.all([ada.sees(/find you as ada\./), ben.sees(/find you as ben\./)])
    ada.type('/to ben')
    await ada.sees(/── 1: ben ──/)
    await ada.sees(/can read this chat/)
    ada.type('hello **ben**')
    await ada.sees(/✓ \[1\] sent.*, waits until they accept/)

    await ben.sees(/Somebody would like to write to you.*\/accept 1/)
    await ben.sees(/\[1\] somebody .*: hello \*\*ben\*\*/)
    ben.type('/accept 1')
    await ben.sees(/── 1: /)
    await ada.sees(/✓✓ \[1\] read/)
    ben.type('/reply 1 hello ada')
    await ada.sees(/\[2\] ben \(answering \[1\]\): hello ada/)
    await ben.sees(/✓✓ \[2\] read/)

    ada.type('/safety')
    ben.type('/safety')
    const digits = /^ {2}((?:\d{5} ?){4})\n {2}((?:\d{5} ?){4})\n {2}((?:\d{5} ?){4})$/
    assert.deepEqual((await ada.sees(digits)).slice(1), (await ben.sees(digits)).slice(1))
    await Promise.all([ada.quit(), ben.quit()])
  })

  test('what was written is still there the next time, and one account is open only once', async () => {
    const ada = new Terminal('--as', 'ada')
    ada.type('/rooms')
    await ada.sees(/1: ben$/)
    ada.type('/to 1')
    await ada.sees(/you: hello \*\*ben\*\*/)
    await ada.sees(/ben .*: hello ada/)
    const second = new Terminal('--as', 'ada')
    await second.sees(/open in another window/)
    await ada.quit()
  })

  test('a second device shows a code, is confirmed by the first, takes part, and is taken out again', async () => {
    const ada = new Terminal('--as', 'ada')
    const tablet = new Terminal('--as', 'ada-tablet', '--link')
    const [, code] = await tablet.sees(/\/link-confirm (\S+)/)
    ada.type(`/link-confirm ${code}`)
    await ada.sees(/Linked: /)
    await tablet.sees(/\/help lists/)
    const ben = new Terminal('--as', 'ben')
    ben.type('/rooms')
    await ben.sees(/1: ada/)
    ben.type('/to 1')
    await ben.sees(/── 1: ada/)
    ben.type('to both of you')
    await ada.sees(/ada|ben: to both of you/)
    await tablet.sees(/ben: to both of you/)
    ada.type('/devices')
    const [, device] = await ada.sees(/^ {2}(\S+) {2}companion$/)
    ada.type(`/unlink ${device}`)
    await ada.sees(/out of your account/)
    await tablet.sees(/taken out of its account/)
    await Promise.all([ada.quit(), ben.quit(), tablet.quit()])
  })

  test('whoever is declined is told so, in words', async () => {
    const [ada, fay] = [new Terminal('--as', 'ada'), new Terminal('--as', 'fay')]
    await Promise.all([ada.sees(/\/help lists/), fay.sees(/\/help lists/)])
    fay.type('/to ada')
    await fay.sees(/── 1: ada ──/)
    fay.type('hello')
    const [, number] = await ada.sees(/\/decline (\d+) or/)
    ada.type(`/decline ${number}`)
    await fay.sees(/^ada does not wish to talk to you\.$/)
    await Promise.all([ada.quit(), fay.quit()])
  })

  test('a group is made, renamed, ruled and left', async () => {
    const [ada, ben] = [new Terminal('--as', 'ada'), new Terminal('--as', 'ben')]
    await Promise.all([ada.sees(/\/help lists/), ben.sees(/\/help lists/)])
    ada.type('/group Reading circle: ben')
    await ada.sees(/── \d+: Reading circle ──/)
    const [, number] = await ben.sees(/ada took you into the group Reading circle: \/to (\d+)/)
    ada.type('which book?')
    await ben.sees(/ada: which book\?/)
    ben.type(`/to ${number}`)
    await ben.sees(/── \d+: Reading circle ──/)
    ben.type('/rename Ben’s circle')
    await ben.sees(/! This conversation does not allow that/)
    ada.type('/role ben admin')
    await ben.sees(/From now on you: admin/)
    ben.type('/rename Ben’s circle')
    await ada.sees(/ben called the group Ben’s circle/)
    ada.type('@ben and @nobody')
    await ben.sees(/ada: @ben and @nobody$/)
    await ben.sees(/That was meant for you/)
    ada.type('/members')
    await ada.sees(/ben, admin, 1 device/)
    ada.type('/remove ben')
    await ben.sees(/ada removed you|removed you/)
    ada.type('/add ben')
    await ben.sees(/took you into the group|added you/)
    ben.type('/leave')
    await ada.sees(/left\./)
    await Promise.all([ada.quit(), ben.quit()])
  })

  test('somebody without an account comes in by a link, and is out when it is revoked', async () => {
    const ada = new Terminal('--as', 'ada')
    await ada.sees(/\/help lists/)
    ada.type('/invite ask pin:4711 the flat')
    const [, link] = await ada.sees(/^(http\S+\/g\/\S+#\S+)$/)
    await ada.sees(/with a PIN/)
    await ada.sees(/^[█▀▄ ]{40,}$/)
    ada.type('/extend 1')
    await ada.sees(/open until \d{4}-/)
    ada.type('/reissue 1 pin:4711')
    const [, anew] = await ada.sees(/^(http\S+\/g\/\S+#\S+)$/)
    assert.notEqual(anew, link)
    await using connection = connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`))
    const options = { connection, storage: memoryStorage(), crypto: nodeCrypto, mls: nodeMlsProvider() }
    const coming = joinByInvite({ ...options, link: anew!, pin: '4711', name: 'Mia' })
    await ada.sees(/Mia \(Guest\) came by the link the flat and waits/)
    ada.type('/approve')
    await using guest = await coming
    const ended = new Promise((resolve) => guest.on('ended', resolve))
    await guest.start()
    const [room] = await guest.rooms()
    await guest.send(room!.id, textMessage({ plain: 'good day' }))
    await ada.sees(/Mia \(Guest\).*: good day/)
    ada.type('/invites')
    await ada.sees(/1: the flat — used.* 1 chat$/)
    const [, number] = await roomOf(ada, /(\d+): Mia \(Guest\)/)
    ada.type(`/to ${number}`)
    await ada.sees(/── \d+: Mia/)
    await guest.typing(room!.id)
    await ada.sees(/… Mia.* is typing/)
    ada.type('/extend')
    await ada.sees(/kept open until \d{4}-/)
    ada.type('/revoke 1')
    await ada.sees(/opens nothing any more/)
    assert.equal(await ended, 'revoked')
    await ada.quit()
  })

  test('a report that cannot be read is passed over, and what comes after it is shown', async () => {
    const dora = new Terminal('--as', 'dora')
    await dora.sees(/find you as dora/)
    await using eve = await newPerson(service.url, 'eve', { reachable: false })
    const room = await eve.device.conversationWith({ handle: 'dora' })
    await eve.device.send(room, { body: singlePart(mediaTypes.status, Uint8Array.of(0x41), 0) })
    await eve.device.send(room, { body: singlePart(mediaTypes.outcome, Uint8Array.of(0x80), 0) })
    await eve.device.send(room, textMessage({ plain: 'still here' }))
    await dora.sees(/still here/)
    await dora.quit()
  })

  test('who does not wish to be written to says so, and a mistake is explained in words', async () => {
    const eve = new Terminal('--as', 'eve')
    await eve.sees(/find you as eve/)
    eve.type('/who-may-write nobody')
    await eve.sees(/Nobody may write to you first/)
    const ben = new Terminal('--as', 'ben')
    const [, ada] = await roomOf(ben, /^ {2}(\d+): ada/)
    ben.type(`/to ${ada}`)
    await ben.sees(/── \d+: ada/)
    // What is typed next is not sent to whom was open before.
    ben.type('/to eve')
    await ben.sees(new RegExp(`ada is closed; /to ${ada} opens it again`))
    await ben.sees(/! .*cannot be reached|does not/)
    ben.type('hello?')
    await ben.sees(/No conversation is open/)
    for (const [line, answer] of [
      ['/nonsense', /There is no command \/nonsense/],
      ['/to mimi://x/y', /! That is not a whole address/],
      ['/to @kim:matrix.example', /! You cannot be reached over matrix yourself.*\/reach on/],
      ['/reach on signal', /! There is no bridge to signal here, only to matrix/],
    ] as const) {
      ben.type(line)
      await ben.sees(answer)
    }
    ben.type('/devices')
    const [, device] = await ben.sees(/^ {2}(\S+) {2}primary, this one$/)
    ben.type(`/unlink ${device}`)
    await ben.sees(/! That is the first device of the account/)
    // Answering is accepting, and is said to be.
    eve.type('/to ben')
    await eve.sees(/── 1: ben ──/)
    eve.type('good evening')
    const [, number] = await ben.sees(/\/accept (\d+),/)
    ben.type(`/to ${number}`)
    await ben.sees(/waiting for your answer/)
    ben.type('good evening to you')
    await ben.sees(/Answering accepts their request/)
    await eve.sees(/ben: good evening to you/)
    await Promise.all([eve.quit(), ben.quit()])
  })
})
