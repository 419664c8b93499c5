// The page of an invited person, in Chromium, with a host in Node.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import { chromiumMissing } from './support/chromium.ts'
import { expectTexts, listen, until } from './support/provider.ts'
import { type WebWorld, webWorld } from './support/web-world.ts'

describe('the guest page', { skip: chromiumMissing() }, () => {
  let world: WebWorld
  before(async () => {
    world = await webWorld()
  })
  after(() => world.close())

  test('from the link to a chat that survives a reload', async () => {
    const anna = await world.provider.register('anna')
    const heard = listen(anna.device)
    await anna.device.setProfile({ name: 'Anna' })
    const { link } = await anna.device.createInvite({ base: world.url, name: 'Anna' })
    const { page, faults, context } = await world.visitor()
    await page.goto(link)
    await page.getByRole('heading', { name: 'invites you' }).waitFor()
    assert.ok(!page.url().includes('#'))
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByLabel('Your name').fill('Mia')
    await page.getByRole('button', { name: 'Start the chat' }).click()
    await page.getByLabel('Write a message').fill('good day')
    await page.keyboard.press('Enter')
    await expectTexts(heard, ['good day'])
    const [room] = (await anna.device.rooms()).filter(({ kind }) => kind === 'guest')
    await anna.device.accept(room!.id)
    await anna.device.send(room!.id, textMessage({ plain: 'hello Mia' }))
    await page.getByText('hello Mia').waitFor()
    await page.reload()
    await page.getByText('hello Mia').waitFor()
    await page.getByText('good day').waitFor()
    await page.getByLabel('Write a message').fill('still here')
    await page.keyboard.press('Enter')
    await until('the second text', () => heard.texts.includes('still here'))
    assert.deepEqual(faults, [])
    await context.close()
  })
})
