import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { groupCache } from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import { expectTexts, listen, testProvider } from './support/provider.ts'

describe('a device that goes from one process to another and back', () => {
  it('uses no state twice, although the first process kept group states in memory', async () => {
    await using provider = await testProvider()
    const bea = await provider.register('bea')
    const heard = listen(bea.device)
    // Each process has one cache for all its devices, which outlives the opening of a device.
    const [first, second] = [groupCache(16), groupCache(16)]
    const ada = await provider.register('ada', { groupCache: first })
    const room = await ada.device.conversationWith({ address: bea.device.address })
    const say = async ({ device }: typeof ada, plain: string) => {
      const { accepted } = await device.send(room, textMessage({ plain }))
      await accepted
    }
    await say(ada, 'one')
    await ada.device.close()
    const elsewhere = await provider.reopen(ada.storage, { groupCache: second })
    await elsewhere.device.ready()
    await say(elsewhere, 'two')
    await elsewhere.device.close()
    const back = await provider.reopen(ada.storage, { groupCache: first })
    await back.device.ready()
    await say(back, 'three')
    await expectTexts(heard, ['one', 'two', 'three'])
    assert.deepEqual(heard.faults, [])
  })
})
