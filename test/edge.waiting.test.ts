/** What the bridge shows of messages that wait for people: they are no queue that is stuck. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import { openMetrics } from '../src/ops/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

const threeDaysMs = 3 * 24 * 3600 * 1000

describe('a message that waits for somebody', () => {
  const metrics = openMetrics()
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let ben: StubUser
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub)
    running = await world.startEdge({ metrics })
    ben = await stub.user('ben')
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const value = async (name: string, labels: Record<string, string> = {}) =>
    (await metrics.values())
      .filter((one) => one.name === `silta_edge_${name}`)
      .filter((one) => Object.entries(labels).every(([label, wanted]) => one.labels[label] === wanted))
      .reduce((sum, one) => sum + one.value, 0)
  const stages = async () => ({
    toMatrix: await value('queue_depth', { stage: 'to-matrix' }),
    fromMatrix: await value('queue_depth', { stage: 'from-matrix' }),
    forPeople: await value('queue_depth', { stage: 'for-people' }),
    oldest: await value('queue_oldest_seconds'),
  })
  const nothing = { toMatrix: 0, fromMatrix: 0, forPeople: 0, oldest: 0 }
  /** As if all that waits had come so long ago. */
  const age = async () => {
    await world.database.query('update portal_outbox set created_at = created_at - $1', [threeDaysMs])
    await world.database.query('update appservice_event set received_at = received_at - $1', [threeDaysMs])
  }

  it('from the messenger to whoever has not come in is counted apart, and has crossed as fast as any other', async () => {
    ben.joins = false
    const ada = await person(world, 'ada')
    const room = await ada.device.conversationWith({ network: 'matrix', value: ben.user })
    await ada.device.send(room, textMessage({ plain: 'are you there?' }))
    await until('the invitation', () => ben.invited.length > 0)
    await until('it to wait', async () => (await stages()).forPeople > 0)
    await running.edge.idle()
    await age()
    assert.deepEqual({ ...(await stages()), forPeople: 0 }, nothing)

    stub.rooms.join(ben.invited[0]!, ben.user)
    await until('the message', () => ben.seen.some(({ content }) => content.body === 'are you there?'))
    await until('nothing to wait', async () => (await stages()).forPeople === 0)
    await running.edge.idle()
    assert.equal(await value('crossing_seconds_count', { way: 'to-matrix' }), 1)
    assert.ok((await value('crossing_seconds_sum', { way: 'to-matrix' })) < 60)
    assert.deepEqual(await stages(), nothing)
    ben.joins = true
  })

  it('from Matrix to whoever has not consented is counted apart, and has crossed as fast as any other', async () => {
    const gwen = await person(world, 'gwen')
    await gwen.device.setHandle('gwen')
    await gwen.device.setFirstContact('consent')
    const asked: string[] = []
    gwen.device.on('consent', ({ account, state }) => void (state === 'requested' && asked.push(account)))
    const answer = await running.edge.routes.request('/_matrix/app/v1/thirdparty/user/silta?handle=gwen', {
      headers: { authorization: `Bearer ${stub.registration.hsToken}` },
    })
    const [{ userid }] = (await answer.json()) as [{ userid: string }]
    const room = ben.createRoom([userid])
    await until('the question', () => asked.length > 0)
    await ben.send(room, 'may I?')
    await until('it to wait', async () => (await stages()).forPeople > 0)
    await running.edge.idle()
    await age()
    assert.deepEqual(await stages(), { ...nothing, forPeople: 1 })

    await gwen.device.answerConsent(asked[0] as never, true)
    await until('the message', () => gwen.heard.texts.includes('may I?'))
    await running.edge.idle()
    await until('it to be counted', async () => (await value('crossing_seconds_count', { way: 'from-matrix' })) === 1)
    assert.ok((await value('crossing_seconds_sum', { way: 'from-matrix' })) < 60)
    assert.deepEqual(await stages(), nothing)
  })
})
