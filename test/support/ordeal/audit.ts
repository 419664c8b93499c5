/** What must hold at the end of the ordeal. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../until.ts'
import { patienceMs, type World } from './world.ts'

/** A lane in which nothing has come for so long is stuck. */
const stuckMs = 3 * 60_000

/** What has been written and not read yet, by lane and reader. */
export const missing = ({ lanes, heard }: World) =>
  lanes.flatMap(({ name, readers, sent }) =>
    readers.flatMap((reader) => {
      const count = sent - (heard.get(reader)?.counts.get(name) ?? 0)
      return count > 0 ? [{ lane: name, reader, count, sent }] : []
    }),
  )

/** What may say why something has not come. */
const around = ({ users, people }: World) =>
  [
    ...users.map(({ user, unread }) => `${unread()} unread at ${user}`),
    ...people.flatMap(({ faults }) => faults.filter((fault) => !fault.startsWith('fault'))),
  ].join(', ')

/** Everybody has heard what the others wrote; as long as something comes, the rest is waited for. */
export async function settled(world: World): Promise<void> {
  let before = ''
  for (let since = Date.now(), left = missing(world); left.length > 0; left = missing(world)) {
    const now = left.map(({ lane, reader, count, sent }) => `${count} of ${sent} of ${lane} at ${reader}`).join(', ')
    if (now !== before) since = Date.now()
    before = now
    if (Date.now() - since >= stuckMs) assert.fail(`nothing has come any more: ${now}; ${around(world)}`)
    await sleep(200)
  }
}

export async function audit(world: World): Promise<void> {
  const { lanes, heard, users, people, homeserver, service, logs } = world
  for (const { name, readers, sent } of lanes)
    for (const reader of readers) {
      const numbers = heard.get(reader)!.entries.flatMap(({ lane, number }) => (lane === name ? [number!] : []))
      const wrong = numbers.findIndex((number, index) => number !== index + 1)
      const around = numbers.slice(Math.max(0, wrong - 3), wrong + 4)
      assert.equal(wrong, -1, `${name} at ${reader}: ${around} around ${wrong}`)
      assert.equal(numbers.length, sent, `${name} at ${reader}`)
    }
  for (const { user, unread } of users) assert.equal(unread(), 0, `${user} cannot read everything`)
  for (const { faults } of people)
    assert.deepEqual(
      faults.filter((fault) => !fault.startsWith('fault')),
      [],
    )
  const megolm = await homeserver.megolm()
  assert.ok(megolm.length >= lanes.reduce((sum, { sent }) => sum + sent, 0), 'the audit has not seen all ciphertexts')
  for (const [key, uses] of Map.groupBy(megolm, ({ key }) => key))
    assert.equal(uses.length, 1, `${key} was used for ${uses.length} events`)
  for (const { log, person, rooms } of logs)
    for (const room of rooms) {
      await log.noteEpochs(person.storage, room)
      const uses = await log.uses(room)
      assert.ok(uses.length > 0)
      assert.equal(new Set(uses).size, uses.length, 'an MLS key was used twice')
    }
  // What the homeserver keeps for the ghosts' devices goes when they have read it, at the latest after a start.
  assert.equal(await service.stop(), true, 'it did not end in order')
  await service.start()
  await until('empty device inboxes', async () => (await homeserver.ghostInbox()) === 0, patienceMs)
  const stages = ['from-matrix', 'to-matrix', 'to-ghosts', 'for-people']
  let waits: string[] = stages
  await until(
    'empty queues',
    async () => {
      const metrics = await (await fetch(`${service.url}/metrics`)).text()
      waits = stages.filter((stage) => !metrics.includes(`silta_edge_queue_depth{stage="${stage}"} 0\n`))
      return waits.length === 0
    },
    patienceMs,
  )
}
