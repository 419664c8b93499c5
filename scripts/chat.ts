// npm run chat: a messenger client in the terminal, for trying. Several people in several terminals:
//
//   npm run chat                        the messenger user of the demonstration
//   npm run chat -- --as ben            somebody else; a name that is new here gets an account
//   npm run chat -- --as tablet --link  a further device of an account, linked by the code that it shows
import { parseArgs } from 'node:util'
import { ClientError } from '../src/client/index.ts'
import { accountName, openAccount, takeHandle } from './chat/account.ts'
import { openSession } from './chat/session.ts'
import { openTerminal } from './chat/terminal.ts'
import { dataFolder } from './start/data.ts'
import { readState } from './start/state.ts'
import { endWithParent } from './support/end-with-parent.ts'

endWithParent()
/** How long what was sent last may still take when the person leaves. */
const FAREWELL_MS = 5_000

const usage = [
  'npm run chat                          the messenger user of the demonstration',
  'npm run chat -- --as NAME             somebody else; a name that is new here gets an account',
  'npm run chat -- --as NAME --link      a further device of an account, linked by the code that it shows',
  'npm run chat -- --service URL         another service than the one that npm start runs here',
]
const terminal = openTerminal()
try {
  await chat()
} catch (error) {
  terminal.print(
    error instanceof ClientError
      ? `${error.explanation} (${error.code})`
      : String(error instanceof Error ? error.message : error),
  )
  process.exitCode = 1
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        as: { type: 'string' },
        service: { type: 'string' },
        link: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    return values
  } catch {
    return undefined
  }
}

async function chat(): Promise<void> {
  const values = readOptions()
  if (!values || values.help) {
    if (!values) process.exitCode = 1
    return usage.forEach(terminal.print)
  }
  const state = readState()
  const name = values.as ?? state?.messengerUser ?? 'ada'
  const service = values.service ?? state?.service
  if (!service)
    throw new Error('No service is known here. npm start runs one; --service http://host:port names another.')
  if (!accountName.test(name)) throw new Error('A name is lower-case letters, digits and ._- (at most 24).')
  await using account = await openAccount({
    service,
    folder: dataFolder('chat'),
    name,
    ...(values.link ? { link: showCode } : {}),
  })
  const { device, storage } = account
  const session = await openSession({ device, storage, name, service, print: terminal.print })
  await device.start()
  if (account.fresh && !values.link) await welcome(name)
  else if (account.fresh) terminal.print('Linked. What is written from now on is seen here, too.')
  terminal.print('/help lists the commands, /to NAME opens a conversation, /quit ends.')
  for await (const line of terminal.lines(session.prompt, session.typed)) {
    if (!(await session.execute(line))) break
  }
  await session.settled(FAREWELL_MS)

  async function welcome(wished: string): Promise<void> {
    const handle = await takeHandle(device, wished)
    await device.setProfile({ name: handle })
    terminal.print(`A new account was made. Others on this service find you as ${handle}.`)
    terminal.print('/reach on lets people on Matrix find you too.')
  }
}

function showCode(code: string): void {
  terminal.print('On the first device of the account, type this (it waits here until then):')
  terminal.print(`/link-confirm ${code}`)
}
