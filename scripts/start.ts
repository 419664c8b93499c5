// npm start: the whole thing on one machine. The service with an embedded database, a local Matrix homeserver when none
// is configured, a demonstration at the first start, and then it stays up until Ctrl-C. Everything lies in data/.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { trialIssuerIsOn } from '../src/config/index.ts'
import { isStoreError, lockDirectory } from '../src/store/index.ts'
import { type MatrixClient, startMatrixClient } from '../test/support/matrix-client.ts'
import { fileStorage } from './chat/file-storage.ts'
import { notes } from './chat/notes.ts'
import { buildPages } from './pages/build.ts'
import { auditKeyOf } from './start/audit-key.ts'
import type { Child } from './start/children.ts'
import { configure, wishedPort } from './start/configuration.ts'
import { dataFolder } from './start/data.ts'
import { demonstrate } from './start/demonstration.ts'
import { startHomeserver } from './start/homeserver.ts'
import { linkToTry } from './start/invitation.ts'
import { choosePort } from './start/ports.ts'
import { startService } from './start/service.ts'
import { readState, type State, writeState } from './start/state.ts'
import { describeReady } from './start/words.ts'
import { root } from './support/command.ts'
import { endWithParent } from './support/end-with-parent.ts'
import { PartMissing } from './support/python.ts'
import { ensureSynapse, type Synapse } from './support/synapse.ts'

endWithParent()
const print = (line: string) => console.log(line)
const usualPorts = { service: 8480, homeserver: 8008 }
/** How long what a killed start has left behind may take to end. */
const KILLED_MS = 5_000
const messengerUser = 'ada'
const matrixUser = 'ben'

/** What has to be stopped, the last first. */
const open: { name: string; stop: () => Promise<unknown> }[] = []
let stopping: Promise<void> | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopping ??= stopAll(signal).then(() => process.exit(process.exitCode ?? 0))
  })
}

try {
  const ended = await start()
  if (!stopping) {
    print(ended)
    process.exitCode = 1
  }
} catch (error) {
  if (!stopping) {
    print(messageOf(error))
    process.exitCode = 1
  }
}
stopping ??= stopAll('an end')
await stopping
process.exit()

/** Resolves, with what to say, when a part has ended by itself. */
async function start(): Promise<string> {
  const began = Date.now()
  takeFolder()
  const before = readState()
  if (!before) print('The first start takes a few minutes: it installs a Matrix homeserver and creates databases.')
  const python = await findHomeserver()
  const ports = await choosePorts(before, python !== undefined)
  const configuration = configure({ service: ports.service, ...(python ? { homeserver: ports.homeserver } : {}) })
  const service = `http://127.0.0.1:${ports.service}`
  // A port that is taken for once does not move the service, or what Matrix clients know, for good.
  const state: State = { ...before, service, ports: before?.ports ?? ports, messengerUser }
  writeState(state)

  const synapse =
    python && configuration.ownHomeserver
      ? await stage('the Matrix homeserver', () => startHomeserver(configuration, python, ports.homeserver))
      : undefined
  if (synapse) open.push({ name: 'the homeserver', stop: () => synapse.stop() })
  const { pages } = await buildPages(root, join(root, 'src/pages/static'))
  const child = await stage('the service', () => startService(configuration, service))
  open.push({ name: 'the service', stop: () => child.stop() })

  const missing = synapse !== undefined && state.matrixUser === undefined
  const shown = state.demonstrated && !missing ? await recall() : await show(state, synapse)
  const link = pages.includes('guest') ? await linkToTry(service, messengerUser) : undefined
  const app = pages.includes('app') && trialIssuerIsOn(configuration.config)
  const auditKey = pages.includes('audit') ? await auditKeyOf(configuration) : undefined
  for (const line of describeReady({
    state,
    shown,
    configuration,
    homeserver: synapse?.url,
    link,
    app,
    auditKey,
    began,
  }))
    print(line)
  return firstToEnd(child, synapse)
}

/** Two starts on one folder would give each other's homeserver new addresses, and share its database. */
function takeFolder(): void {
  try {
    const lock = lockDirectory(dataFolder())
    open.push({ name: 'the folder', stop: async () => lock[Symbol.dispose]() })
  } catch (error) {
    if (!isStoreError(error) || error.code !== 'locked') throw error
    const where = readState()?.service
    throw new Error(
      `npm start runs here already${where ? `: ${where}` : ''}. Write with npm run chat, or end it first (Ctrl-C in its terminal).`,
    )
  }
}

/** The Python that has Synapse; undefined when no homeserver of our own is wanted or possible. */
async function findHomeserver(): Promise<string | undefined> {
  if (!configure(usualPorts).ownHomeserver) return undefined
  try {
    return await ensureSynapse(print)
  } catch (error) {
    if (!(error instanceof PartMissing)) throw error
    print(error.message)
    print('Silta starts without Matrix; the messenger itself works.')
    return undefined
  }
}

async function choosePorts(
  before: State | undefined,
  withHomeserver: boolean,
): Promise<{ service: number; homeserver: number }> {
  const wished = {
    service: wishedPort() ?? before?.ports.service ?? usualPorts.service,
    homeserver: before?.ports.homeserver ?? usualPorts.homeserver,
  }
  // The last start may have been killed a moment ago, and its children be on their way out.
  const patienceMs = before ? KILLED_MS : 0
  const service = await choosePort(wished.service, { patienceMs })
  if (service !== wished.service) print(`Port ${wished.service} is taken; the service uses ${service}.`)
  if (!withHomeserver) return { ...wished, service }
  const homeserver = await choosePort(wished.homeserver, { patienceMs, taken: [service] })
  if (homeserver !== wished.homeserver) print(`Port ${wished.homeserver} is taken; the homeserver uses ${homeserver}.`)
  return { service, homeserver }
}

/** The demonstration, and what it leaves behind. A failure of it is told, and stops nothing. */
async function show(state: State, synapse: Synapse | undefined): Promise<boolean> {
  try {
    const matrix = synapse && (await signInToMatrix(state, synapse))
    print('\nA conversation, as it happens. On the left is whose screen it is.\n')
    await demonstrate({ service: state.service, messengerUser, matrix, print })
    state.demonstrated = true
    writeState(state)
    print('')
    if (matrix) void leaveMatrix(matrix)
    return true
  } catch (error) {
    print(`\nThe demonstration broke off: ${messageOf(error)}\n`)
    return false
  }
}

/** The Matrix user of the demonstration, whom a person can be afterwards, in a client of their own. */
async function signInToMatrix(state: State, synapse: Synapse): Promise<MatrixClient> {
  const password = state.matrixUser?.password ?? randomBytes(12).toString('base64url')
  state.matrixUser = { ...state.matrixUser, name: `@${matrixUser}:${synapse.domain}`, password }
  writeState(state)
  const matrix = await startMatrixClient({ synapse, name: matrixUser, password })
  open.push({ name: 'the Matrix client', stop: () => matrix.stop() })
  state.matrixUser.recoveryKey = await matrix.setUpRecovery()
  writeState(state)
  return matrix
}

/** With the keys in the backup, whoever signs in as this user reads the demonstration, too. */
async function leaveMatrix(matrix: MatrixClient): Promise<void> {
  try {
    await matrix.untilBackedUp()
    await matrix.signOut()
  } catch {
    // Stopped before that, or the homeserver is slow: the next client cannot read the demonstration, and all else works.
  } finally {
    await matrix.stop()
  }
}

/** What is still there from the last time. */
async function recall(): Promise<boolean> {
  try {
    const storage = await fileStorage(dataFolder('chat', messengerUser, 'device.sqlite'))
    const count = await storage.transaction((tx) => notes.count(tx))
    await storage.close()
    print(`${messengerUser}'s conversations are still there: ${count} messages. npm run chat shows them.`)
  } catch {
    // Somebody has the account open in a terminal that outlived the last start: then it is still there, too.
  }
  return false
}

async function stage<T>(name: string, work: () => Promise<T>): Promise<T> {
  const began = Date.now()
  print(`Starting ${name} …`)
  const result = await work()
  print(`  ${name} is up after ${((Date.now() - began) / 1000).toFixed(1)} s`)
  return result
}

function firstToEnd(child: Child, synapse: Synapse | undefined): Promise<string> {
  const ends = [child.ended.then(() => `The service has ended:\n${child.lastLines(15).join('\n')}`)]
  if (synapse)
    ends.push(synapse.ended.then(() => 'The homeserver has ended by itself; see data/synapse/homeserver.log.'))
  return Promise.race(ends)
}

async function stopAll(reason: string): Promise<void> {
  if (open.length === 0) return
  print(`\nStopping (${reason}) …`)
  for (let part = open.pop(); part; part = open.pop()) await part.stop()
  print('Everything has ended.')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
