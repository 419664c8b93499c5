/**
 * A process of its own for bench/audit-message.ts: hub and gateway with the compliance log, or without it, over an embedded
 * database that reaches the disk; one account sends to another. Prints what a message took as a line of JSON.
 *
 *     node bench/audit-message-process.ts with|without MESSAGES
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openComplianceLog } from '../src/audit/index.ts'
import { openBus } from '../src/bus/index.ts'
import { connect, memoryStorage, registerPrimary } from '../src/client/index.ts'
import { readText, textMessage } from '../src/content/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { openHub } from '../src/hub/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { openGateway } from '../src/messenger/index.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { inProcessPipe } from '../src/protocol/in-process-pipe.ts'
import { openDatabase } from '../src/store/index.ts'
import type { MessageCost } from './audit-message.ts'

const [logged, messages] = [process.argv[2] === 'with', Number(process.argv[3])]
/** Before anything is measured, so that what is compiled on the way is. */
const warm = 50
const provider = 'messenger.example'
const home = mkdtempSync(join(tmpdir(), 'silta-bench-message-'))
const database = await openDatabase({ directory: join(home, 'database') })
const fail = (error: unknown) => {
  throw error
}
const audit = logged
  ? await openComplianceLog({
      ...{ database, crypto, provider, networks: ['matrix'], owner: 'bench', dataDirectory: home },
      pseudonymKey: crypto.randomBytes(32),
      subjectKeysFile: join(home, 'subject-keys'),
      logKeys: { keys: [crypto.randomBytes(32)] },
      onFault: fail,
    })
  : undefined
const [mls, providerKeyPair] = [await nodeMlsProvider(), crypto.generateKeyPair()]
const subjectKey = crypto.randomBytes(32)
const hub = openHub({
  ...{ database, bus: openBus(), crypto, mls, provider, providerKeyPair, subjectKey },
  ...(audit ? { audit } : {}),
})
const gateway = openGateway({
  ...{ hub, crypto, verifyToken: async (token: string) => JSON.parse(token) },
  ...(audit ? { conduct: audit } : {}),
})
const person = async (subject: string) => {
  const connection = connect(async () => {
    const [ours, theirs] = inProcessPipe()
    gateway.connect(theirs)
    return ours
  })
  const accessToken = JSON.stringify({ subject: `bench#${subject}`, kind: 'person' })
  const device = await registerPrimary({ connection, mls, crypto, storage: memoryStorage(), accessToken })
  await device.start()
  return { device, connection }
}
const [ana, ben] = [await person('ana'), await person('ben')]
const arrived = new Map<string, () => void>()
ben.device.on('message', ({ content }) => arrived.get(readText(content)?.plain ?? '')?.())
/** A new device's KeyPackages follow its start. */
const begin = async (): Promise<RoomId> => {
  for (let tries = 0; ; tries++)
    try {
      return await ana.device.createDirectRoom(ben.device.address)
    } catch (error) {
      if (tries >= 100) throw error
      await sleep(100)
    }
}
const room = await begin()
const send = async (text: string) => {
  const there = new Promise<void>((resolve) => arrived.set(text, resolve))
  await ana.device.send(room, textMessage({ plain: text }))
  await there
  arrived.delete(text)
}
await send('hello')
// Strangers may not say much before.
await ben.device.accept(room)
for (let i = 0; i < warm; i++) await send(`warm ${i}`)
// The entries of whoever has come are in the tree.
for (let waiting = 1; audit && waiting > 0; await sleep(200)) waiting = await audit.waiting()

/** Bytes and calls that have gone to the kernel, and what the database has put into its log of changes. */
const writes = async () => {
  const io = readFileSync('/proc/self/io', 'utf8')
  const number = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1])
  const [row] = await database.query<{ at: number }>(
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8 as at",
  )
  return { calls: number('syscw'), bytes: number('wchar'), wal: row!.at }
}
const [before, cpu, begun] = [await writes(), process.cpuUsage(), performance.now()]
for (let i = 0; i < messages; i++) await send(`message ${i}`)
const [used, taken, after] = [process.cpuUsage(cpu), performance.now() - begun, await writes()]
const each = (value: number) => value / messages
const cost: MessageCost = {
  cpuMs: each((used.user + used.system) / 1000),
  ms: each(taken),
  writeCalls: each(after.calls - before.calls),
  writtenBytes: each(after.bytes - before.bytes),
  walBytes: each(after.wal - before.wal),
}
console.log(JSON.stringify(cost))
for (const { device, connection } of [ana, ben]) {
  await device.close()
  await connection.close()
}
gateway.drain()
await audit?.close()
await hub.close()
await database.close()
rmSync(home, { recursive: true, force: true })
