import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as wasm from '@matrix-org/matrix-sdk-crypto-wasm'
import { encodeContent, textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { encryptMessage, processMessage } from '../src/mls/index.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { openDatabase } from '../src/store/index.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { grownRoom } from './mls-room.ts'
import { median } from './statistics.ts'
import type { DatabaseKind } from './world.ts'

/** What one message cannot do without, in milliseconds. */
export interface Floor {
  readonly mlsEncryptMs: number
  readonly mlsOpenMs: number
  readonly megolmEncryptMs: number
  readonly megolmDecryptMs: number
  /** Sealing and opening one ratchet record. */
  readonly sealMs: number
  /** One transaction with one small write, forced to disk. */
  readonly commitMs: Readonly<Record<DatabaseKind, number>>
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Milliseconds of one call: the median of several batches. */
async function timeOf(count: number, work: (index: number) => unknown): Promise<number> {
  const batches: number[] = []
  for (let batch = 0; batch < 5; batch++) {
    const begun = performance.now()
    for (let index = 0; index < count; index++) await work(index)
    batches.push((performance.now() - begun) / count)
  }
  return median(batches)
}

export async function measureFloor(count: number, kinds: readonly DatabaseKind[]): Promise<Floor> {
  const commitMs: Record<DatabaseKind, number> = { pglite: Number.NaN, postgres: Number.NaN }
  for (const kind of kinds) commitMs[kind] = await commitTime(kind, count)
  return { ...(await mlsTimes(count)), ...(await megolmTimes(count)), sealMs: await sealTime(count), commitMs }
}

async function mlsTimes(count: number) {
  const mls = nodeMlsProvider()
  const { one, other } = await grownRoom(mls, 2)
  let [sender, receiver] = [one, other]
  const plaintext = encodeContent({
    ...textMessage({ plain: 'forty characters, as people write them.' }),
    salt: new Uint8Array(16),
  })
  const messages: Uint8Array[] = []
  const mlsEncryptMs = await timeOf(count, async () => {
    const { state, message } = await encryptMessage(mls, sender, plaintext)
    sender = state
    messages.push(message)
  })
  let next = 0
  const authenticate = () => Promise.reject(new Error('no handshake'))
  const mlsOpenMs = await timeOf(count, async () => {
    receiver = (await processMessage(mls, receiver, messages[next++]!, { authenticate })).state
  })
  return { mlsEncryptMs, mlsOpenMs }
}

async function megolmTimes(count: number) {
  await wasm.initAsync()
  const machine = (user: string) =>
    wasm.OlmMachine.initialize(new wasm.UserId(user), new wasm.DeviceId('D'), undefined, undefined, silent)
  const olm = await machine('@floor:hs.test')
  const room = '!floor:hs.test'
  const settings = new wasm.EncryptionSettings()
  settings.rotationPeriodMessages = 10_000n
  // A key that is shared with nobody: what is measured is the message, not the sharing.
  await olm.shareRoomKey(new wasm.RoomId(room), [], settings)
  const content = JSON.stringify({ msgtype: 'm.text', body: 'forty characters, as people write them.' })
  const events: string[] = []
  const megolmEncryptMs = await timeOf(count, async (index) => {
    const encrypted = await olm.encryptRoomEvent(new wasm.RoomId(room), 'm.room.message', content)
    const event = { type: 'm.room.encrypted', sender: '@floor:hs.test', room_id: room, event_id: `$${index}` }
    events.push(JSON.stringify({ ...event, origin_server_ts: 1, content: JSON.parse(encrypted) }))
  })
  let next = 0
  const how = new wasm.DecryptionSettings(wasm.TrustRequirement.Untrusted)
  const megolmDecryptMs = await timeOf(count, () => olm.decryptRoomEvent(events[next++]!, new wasm.RoomId(room), how))
  return { megolmEncryptMs, megolmDecryptMs }
}

function sealTime(count: number): Promise<number> {
  const [key, aad, record] = [nodeCrypto.randomBytes(32), new Uint8Array(64), new Uint8Array(600)]
  return timeOf(count, () => nodeCrypto.open(key, nodeCrypto.seal(key, record, aad), aad))
}

async function commitTime(kind: DatabaseKind, count: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'silta-floor-'))
  const postgres = kind === 'postgres' ? await startPostgres(['fsync=on', 'full_page_writes=on']) : undefined
  const database = await openDatabase(postgres ? { url: postgres.url } : { directory: join(folder, 'database') })
  const value = nodeCrypto.randomBytes(600)
  try {
    return await timeOf(count, (index) =>
      database.transaction((tx) =>
        tx.query(
          `insert into device_state (namespace, collection, key, value) values ('floor', 'floor', $1, $2)
           on conflict (namespace, collection, key) do update set value = excluded.value`,
          [String(index % 10), value],
        ),
      ),
    )
  } finally {
    await database.close()
    await postgres?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Transactions that one message alone goes through in the service (docs/architecture.md), without any batching.
 * To Matrix: the hub takes it; the edge's device stores it; its ciphertext; that it is done with the report; the hub takes
 * the report. To the messenger: the homeserver's transaction; the edge's submission; the hub takes it; it is settled.
 */
export const commitsOf = { 'to-matrix': 5, 'to-messenger': 4 } as const

/** Messages a second that cryptography and commits alone would allow, one after the other. */
export function rawLimit(floor: Floor, way: keyof typeof commitsOf, kind: DatabaseKind): number {
  const crypto =
    way === 'to-matrix'
      ? floor.mlsOpenMs + floor.megolmEncryptMs + 2 * floor.sealMs
      : floor.megolmDecryptMs + floor.mlsEncryptMs + 2 * floor.sealMs
  return 1000 / (crypto + commitsOf[way] * floor.commitMs[kind])
}
