/** What the bridge tells those who run it: of its own faults where they were, and of what others do apart from them. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import { openLog, openMetrics } from '../src/ops/index.ts'
import { type EdgeWorld, edgeWorld, person } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

describe('what the bridge tells of itself', () => {
  const metrics = openMetrics()
  const lines: string[] = []
  /** Whether the homeserver takes no typing. */
  let silent = false
  /** What goes wrong once when a message is put. */
  let bug: Error | undefined
  let stub: StubHomeserver
  let world: EdgeWorld
  let ben: StubUser
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub)
    await world.startEdge({
      metrics,
      settings: { portals: { groupMembers: 2 } },
      log: openLog({ write: (line) => void lines.push(line) }),
      steps(step) {
        const thrown = step === 'matrix.put' ? bug : undefined
        if (thrown === undefined) return
        bug = undefined
        throw thrown
      },
      async fetch(input, init) {
        if (silent && String(input).includes('/typing/')) throw new Error('cut')
        return fetch(input, init)
      },
    })
    ben = await stub.user('ben')
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const count = async (name: string, labels: Record<string, string> = {}) =>
    (await metrics.values())
      .filter((one) => one.name === `silta_edge_${name}_total`)
      .filter((one) => Object.entries(labels).every(([label, wanted]) => one.labels[label] === wanted))
      .reduce((sum, one) => sum + one.value, 0)
  const talk = async (name: string) => {
    const other = await person(world, name)
    const known = [...ben.joined]
    const room = await other.device.conversationWith({ network: 'matrix', value: ben.user })
    await until('acceptance', async () => (await other.device.room(room))?.otherStanding === 'accepted')
    const matrixRoom = ben.joined.find((one) => !known.includes(one))!
    return { ...other, room, matrixRoom }
  }

  it('writes a fault down with code and place, and nothing of what it says', async () => {
    const ada = await talk('ada')
    bug = new TypeError('canary')
    await ada.device.send(ada.room, textMessage({ plain: 'hello' }))
    await until('the message', () => ben.seen.some(({ content }) => content.body === 'hello'))
    assert.equal(await count('faults', { code: 'unexpected' }), 1)
    const [line = assert.fail()] = lines.filter((one) => one.includes('could not go on'))
    const { code, error } = JSON.parse(line)
    assert.deepEqual([code, error.name], ['unexpected', 'TypeError'])
    assert.match(error.frames.join(), /sending\.ts|edge\.told/)
    assert.doesNotMatch(lines.join(), /canary/)
  })

  it('counts typing that the homeserver does not take as dropped, and as no fault', async () => {
    const cleo = await talk('cleo')
    const faults = await count('faults')
    silent = true
    await cleo.device.typing(cleo.room, true)
    await until('it to be dropped', async () => (await count('dropped', { what: 'typing' })) > 0)
    silent = false
    assert.equal(await count('faults'), faults)
  })

  it('counts a message that is handed over once more as suspicious, and as no fault', async () => {
    const dora = await talk('dora')
    const faults = await count('faults')
    await ben.send(dora.matrixRoom, 'once')
    await until('the message', () => dora.heard.texts.includes('once'))
    const { timeline } = stub.rooms.roomOf(dora.matrixRoom)
    const sent = timeline.findLast(({ sender, type }) => sender === ben.user && type === 'm.room.encrypted')!
    stub.rooms.send(dora.matrixRoom, ben.user, sent.type, sent.content)
    await until('it to be noticed', async () => (await count('suspicious', { reason: 'replayed' })) === 1)
    assert.equal(await count('faults'), faults)
    assert.deepEqual(dora.heard.texts, ['once'])
  })

  it('counts a group that is too large for Matrix as refused on the way there', async () => {
    const [eve, fay] = [await talk('eve'), await person(world, 'fay')]
    await fay.device.answerConsent(eve.device.address, true)
    const account = await eve.device.lookUp({ network: 'matrix', value: ben.user })
    await eve.device.createGroup({ name: 'All', members: [fay.device.address, account] })
    await until('the refusal', async () => (await count('refused', { way: 'to-matrix', code: 'unsupported' })) === 1)
  })
})
