// The client for trying, in Chromium: people, a guest and a further device, all in browsers.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { chromiumMissing } from './support/chromium.ts'
import { until } from './support/provider.ts'
import { type Visitor, type WebWorld, webWorld } from './support/web-world.ts'

describe('the client for trying', { skip: chromiumMissing() }, () => {
  let world: WebWorld
  before(async () => {
    world = await webWorld({
      // What the issuer for trying does, in the form that this provider takes tokens in.
      app: (app) =>
        app.post('/trial/token', async (c) => {
          const { name } = (await c.req.json()) as { name: string }
          return c.json({ token: JSON.stringify({ subject: name, kind: 'person' }) })
        }),
    })
  })
  after(() => world.close())

  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
  const field = (page: Page, name: string) => page.getByRole('textbox', { name })
  const write = async (page: Page, text: string) => {
    await field(page, 'Write a message').fill(text)
    await button(page, 'Send').click()
  }
  const reads = (page: Page, text: string) => page.locator('.log .text').getByText(text, { exact: true }).waitFor()

  async function register(name: string, width = 1280, height = 800): Promise<Visitor> {
    const visitor = await world.visitor({ viewport: { width, height } })
    await visitor.page.goto(`${world.url}/app`)
    await field(visitor.page, 'Name').fill(name)
    await button(visitor.page, 'Create account').click()
    await button(visitor.page, 'New chat').waitFor()
    return visitor
  }

  test('two people find each other by handle; the second is asked, then they chat, also after a reload', async () => {
    const [ada, ben] = await Promise.all([register('ada'), register('ben', 360, 740)])
    await button(ada.page, 'New chat').click()
    await field(ada.page, 'Handle or Matrix id').fill('nobody-of-that-name')
    await button(ada.page, 'Start').click()
    await ada.page.getByRole('alert').getByText('cannot be reached').waitFor()
    // The handle is there a moment after the account.
    await assert.doesNotReject(async () => {
      for (let tries = 0; tries < 50 && !(await field(ada.page, 'Write a message').isVisible()); tries++) {
        await field(ada.page, 'Handle or Matrix id').fill('ben')
        await button(ada.page, 'Start').click()
        await Promise.race([
          field(ada.page, 'Write a message').waitFor(),
          ada.page.getByRole('alert').getByText('cannot be reached').waitFor(),
        ])
      }
    })
    await write(ada.page, 'Hello, see https://example.org')
    await ben.page.locator('.entry').click()
    await reads(ben.page, 'Hello, see https://example.org')
    assert.equal(await ben.page.locator('.log a').count(), 0, 'a link of a stranger cannot be pressed')
    await button(ben.page, 'Accept').click()
    await ben.page.locator('.log a').waitFor()
    await write(ben.page, 'Hi Ada')
    await reads(ada.page, 'Hi Ada')

    const numbers = await Promise.all(
      [ada, ben].map(async ({ page }) => {
        await page.locator('.chat').getByRole('button', { name: 'Menu' }).click()
        await button(page, 'Safety number').click()
        return page.locator('.number').textContent()
      }),
    )
    assert.equal(numbers[0], numbers[1])
    assert.match(numbers[0]!.replaceAll(/\s/g, ''), /^\d{60}$/)

    await ada.page.reload()
    await ada.page.locator('.entry').click()
    await reads(ada.page, 'Hi Ada')
    assert.deepEqual([ada.faults, ben.faults], [[], []])
    await Promise.all([ada.context.close(), ben.context.close()])
  })

  test('a guest is invited by a link, asks to be let in, and chats; a further device is linked and reads on', async () => {
    const ada = await register('ada')
    await button(ada.page, 'Invite a guest').click()
    await ada.page.getByLabel('Ask me before somebody comes in').check()
    await button(ada.page, 'Make the link').click()
    await ada.page.getByRole('img', { name: 'The link as a code' }).waitFor()
    const link = await field(ada.page, 'The link').inputValue()
    await ada.page.keyboard.press('Escape')

    const mia = await world.visitor({ viewport: { width: 360, height: 740 } })
    await mia.page.goto(link)
    await button(mia.page, 'Continue').click()
    await field(mia.page, 'Your name').fill('Mia')
    await button(mia.page, 'Ask to join').click()
    await field(mia.page, 'Your first message').fill('May I come in?')
    // The page may be closed meanwhile.
    await mia.page.reload()
    await until('what was written', async () => {
      const kept = field(mia.page, 'Your first message')
      return (await kept.isVisible()) && (await kept.inputValue()) === 'May I come in?'
    })
    await button(ada.page, 'Let in').click()
    await button(mia.page, 'Send').click()
    await ada.page.locator('.entry', { hasText: 'Mia' }).click()
    await reads(ada.page, 'May I come in?')

    const tablet = await world.visitor()
    await tablet.page.goto(`${world.url}/app`)
    await button(tablet.page, 'Link to an account that you have').click()
    const code = await field(tablet.page, 'The code as text').inputValue()
    await button(ada.page, 'Settings').click()
    await field(ada.page, 'The code as text').fill('silta-link-1.abc')
    await button(ada.page, 'Link').click()
    await ada.page.getByText('This code cannot be read').waitFor()
    await field(ada.page, 'The code as text').fill(code)
    await button(ada.page, 'Link').click()
    await tablet.page.locator('.entry', { hasText: 'Mia' }).click()
    await write(mia.page, 'I see two of you')
    await reads(tablet.page, 'I see two of you')
    await write(tablet.page, 'From the tablet')
    await reads(mia.page, 'From the tablet')
    assert.deepEqual([ada.faults, mia.faults, tablet.faults], [[], [], []])
    await Promise.all([ada, mia, tablet].map(({ context }) => context.close()))
  })
})
