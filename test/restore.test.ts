import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { run } from '../src/cli/index.ts'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import type { StatusAnswer } from '../src/ops/index.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { megolmUses } from './support/megolm.ts'
import { linkedDevice, type MessengerPerson, newPerson, reopened } from './support/messenger-person.ts'
import { mlsLog } from './support/mls-uses.ts'
import { until } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

const patienceMs = 120_000

describe('a backup that is put back while homeserver and devices went on', { skip: await synapseMissing() }, () => {
  const log = mlsLog()
  const home = mkdtempSync(join(tmpdir(), 'silta-backup-'))
  let synapse: TestSynapse
  let service: TestService
  let alice: MatrixClient
  let carol: MessengerPerson
  let tablet: MessengerPerson
  let dave: MessengerPerson
  let room: RoomId
  let among: RoomId
  let matrixRoom: string
  let ghost: string
  const gaps = new Map<string, number>()

  const command = async (...argv: string[]) => {
    const told = { out: '', err: '' }
    const terminal = {
      env: { SILTA_PROVIDER_DOMAIN: 'messenger.example', SILTA_DATA_DIRECTORY: service.dataDirectory },
      out(text: string) {
        told.out += text
      },
      err(text: string) {
        told.err += text
      },
    }
    return { code: await run(argv, terminal), ...told }
  }
  const listen = (name: string, person: MessengerPerson) => {
    person.device.on('gap', () => void gaps.set(name, (gaps.get(name) ?? 0) + 1))
    return person
  }
  /** A message each way over Matrix, and one between two devices of the messenger. */
  const talk = async (about: string) => {
    await carol.device.send(room, textMessage({ plain: `${about}: Carol` }))
    await alice.untilReceived(`${about}: Carol`, { timeoutMs: patienceMs })
    await alice.send(matrixRoom, `${about}: Alice`)
    await until(`${about}: Alice`, () => carol.heard.texts.includes(`${about}: Alice`), patienceMs)
    await carol.device.send(among, textMessage({ plain: `${about}: to Dave` }))
    await until(`${about}: to Dave`, () => dave.heard.texts.includes(`${about}: to Dave`), patienceMs)
    await log.noteEpochs(carol.storage, room)
  }

  before(async () => {
    synapse = await testSynapse()
    service = await startTestService({ synapse })
    alice = await startMatrixClient({ synapse, name: 'alice' })
    await alice.isolate(true)
    carol = listen('carol', await newPerson(service.url, 'carol', { onFrame: log.onFrame }))
    dave = listen('dave', await newPerson(service.url, 'dave'))
    room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    among = await carol.device.createDirectRoom(dave.device.address)
    await carol.device.send(room, textMessage({ plain: 'hello Alice' }))
    const received = await alice.untilReceived('hello Alice', { timeoutMs: patienceMs })
    matrixRoom = received.room
    ghost = received.sender
    await talk('before the backup')
  })
  after(async () => {
    for (const each of [carol, tablet, dave]) await each?.close()
    await alice?.stop()
    await service?.[Symbol.asyncDispose]()
    await synapse?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  it('is copied from the running service, and refused where something lies already', async () => {
    const { code, out } = await command('backup', join(home, 'copy'))
    assert.equal(code, 0)
    assert.match(out, /^The backup is in /)
    const again = await command('backup', join(home, 'copy'))
    assert.equal(again.code, 1)
    assert.match(again.err, /exists already/)
    const running = await command('restore', join(home, 'copy'))
    assert.equal(running.code, 1)
    assert.equal(running.err, 'The service runs. Stop it first.\n')
  })

  it('lets every conversation go on, shows gaps, and uses no key twice', async () => {
    await talk('after the backup')
    // A device that the backup does not know, and so a commit that it does not have in any room.
    tablet = listen('tablet', await linkedDevice(service.url, carol.device))
    await until('the tablet in the rooms', async () => {
      const rooms = await tablet.device.rooms()
      return [room, among].every((id) => rooms.some((each) => each.id === id && each.joined))
    })
    await talk('with the tablet')
    const sentBefore = await megolmUses(synapse, ghost, matrixRoom)
    const device = sentBefore[0]!.key.split(' ')[0]
    assert.ok(device)

    await carol.device.close()
    assert.equal(await service.stop(), true)
    const { code, out, err } = await command('restore', join(home, 'copy'))
    assert.equal(code, 0, err)
    assert.match(out, /life number 2/)
    await service.start()

    // The first to write is the edge, whose keys are those of the backup.
    await alice.send(matrixRoom, 'after the restore, before Carol: Alice')
    await until(
      'the message through the edge',
      async () => {
        const { values } = JSON.parse((await command('status', '--json')).out) as StatusAnswer
        return values.some(
          ({ name, labels, value }) =>
            name === 'silta_edge_crossing_seconds_count' && labels.way === 'from-matrix' && value > 0,
        )
      },
      patienceMs,
    )
    carol = listen('carol', await reopened(carol))
    await talk('after the restore')
    await until('the tablet', () => tablet.heard.texts.includes('after the restore: Alice'), patienceMs)
    await until('gaps', () => ['carol', 'tablet', 'dave'].every((name) => gaps.has(name)), patienceMs)
    await alice.untilReceived('after the restore: Carol')
    const shown = await alice.messages(matrixRoom)
    for (const message of shown) {
      assert.equal(message.failure, undefined)
      if (message.sender === ghost && message.encrypted)
        assert.deepEqual(message.shield, { colour: 'NONE', reason: null })
    }
    assert.ok(
      shown.some(({ content }) => /missing/.test(String(content.body))),
      'the gap is shown in the Matrix room',
    )
    assert.deepEqual(
      shown.filter(({ content }) => content.msgtype === 'm.text' && / the backup: Carol$/.test(String(content.body)))
        .length,
      2,
      'nothing of before is sent again',
    )

    const megolm = (await megolmUses(synapse, ghost, matrixRoom)).map(({ key }) => key)
    assert.ok(megolm.length > sentBefore.length)
    assert.equal(new Set(megolm).size, megolm.length, 'a Megolm key was used twice')
    const sessionsBefore = new Set(sentBefore.map(({ key }) => key.split(' ')[0]))
    const sessions = new Set(megolm.map((key) => key.split(' ')[0]))
    assert.ok(sessions.size > sessionsBefore.size, 'the ghost has gone on with an old session')
    // One message went through a group that Carol was not in: made after the restore, by a commit of the edge.
    const uses = await log.uses(room, 1)
    assert.equal(new Set(uses).size, uses.length, 'an MLS key was used twice')
    await talk('and on')
  })
})
