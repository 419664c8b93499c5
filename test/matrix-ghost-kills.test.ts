import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type JsonProcess, startJsonProcess } from './support/json-process.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { megolmUses } from './support/megolm.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

const program = fileURLToPath(new URL('./support/ghost-process.ts', import.meta.url))

describe('a ghost whose process is killed', { skip: await synapseMissing() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'silta-kills-'))
  const receivedFile = join(folder, 'received')
  let synapse: TestSynapse
  let alice: MatrixClient
  let ghost: string
  let room: string
  let child: JsonProcess

  const start = async (dieAt?: { step: string; count: number }) => {
    child = startJsonProcess(process.execPath, [program])
    const { url, registration, appservicePort } = synapse
    await child.call('start', {
      folder: join(folder, 'database'),
      synapse: { url, registration, appservicePort },
      receivedFile,
      ...(dieAt ? { dieAt } : {}),
    })
  }
  const kill = async () => {
    process.kill(child.pid, 'SIGKILL')
    await child.stop()
  }
  const burst = (prefix: string, count: number) =>
    child.call<number>('burst', ghost, room, [alice.user, ghost], prefix, count)
  const received = () => (existsSync(receivedFile) ? readFileSync(receivedFile, 'utf8').split('\n') : [])

  before(async () => {
    synapse = await testSynapse()
    alice = await startMatrixClient({ synapse, name: 'alice' })
    await start()
    ghost = await child.call<string>('newGhost')
    room = await alice.createRoom({ invite: [ghost] })
    await alice.untilJoined(room, ghost)
    await alice.send(room, 'ready')
    while (!received().includes('ready')) await sleep(50)
  })
  after(async () => {
    await child?.stop()
    await alice?.stop()
    await synapse?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('never uses a message index twice, and all that it sent can be read', async () => {
    for (let round = 0; round < 3; round++) {
      const ended = burst(`killed ${round}.`, 10_000).catch(() => {})
      await alice.untilReceived(`killed ${round}.${5 + round}`)
      await sleep(Math.random() * 100)
      await kill()
      await ended
      await start()
    }
    await burst('at the end ', 5)
    await alice.untilReceived('at the end 4')
    const sent = (await megolmUses(synapse, ghost, room)).map(({ key }) => key)
    assert.ok(sent.length >= 26)
    assert.equal(new Set(sent).size, sent.length)
    const messages = await alice.messages(room)
    assert.deepEqual(
      messages.filter((message) => message.failure !== undefined),
      [],
    )
  })

  it('reads everything that was written to it meanwhile, whichever step it died at', async () => {
    for (const [index, step] of [
      'matrix.transaction.stored',
      'matrix.transaction.answered',
      'matrix.decrypted',
    ].entries()) {
      await child.stop()
      await start({ step, count: 2 }).catch(() => {})
      await alice.newRoomKey(room)
      for (let message = 0; message < 4; message++) await alice.send(room, `to the dead ${index}.${message}`)
      await child.ended
    }
    await start()
    await alice.send(room, 'to the living')
    for (let wait = 0; wait < 200 && !received().includes('to the living'); wait++) await sleep(100)
    const expected = [0, 1, 2].flatMap((step) => [0, 1, 2, 3].map((message) => `to the dead ${step}.${message}`))
    const firsts = [...new Set(received().filter((body) => body.startsWith('to the ')))]
    assert.deepEqual(firsts, [...expected, 'to the living'])
  })
})
