// The service is killed while a guest's message is under way; the page in Chromium notices nothing but a pause.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { chromiumMissing, launchChromium } from './support/chromium.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { startTestService, type TestService } from './support/service.ts'
import { until } from './support/until.ts'
import { builtPages, guestDoes } from './support/web-world.ts'

describe('a service that is killed while a guest writes', { skip: chromiumMissing() }, () => {
  let service: TestService
  let anna: MessengerPerson
  let browser: Browser
  before(async () => {
    service = await startTestService({ environment: { SILTA_TEST_PAGES: await builtPages() } })
    anna = await newPerson(service.url, 'anna', { reachable: false })
    browser = await launchChromium()
  })
  after(async () => {
    await browser?.close()
    await anna?.close()
    await service?.[Symbol.asyncDispose]()
  })

  test('each message arrives once and in order, whether the hub had taken it or not', async () => {
    // A secure context, as the page demands.
    const base = service.url.replace('127.0.0.1', 'localhost')
    const { link } = await anna.device.createInvite({ base })
    const page = await browser.newPage({ locale: 'en-GB' })
    page.setDefaultTimeout(120_000)
    await guestDoes.comesIn(page, link, 'Mia')
    await guestDoes.writes(page, 'first')
    await until('the first', () => anna.heard.texts.includes('first'))
    await service.dieAt('hub.accepted')
    await guestDoes.writes(page, 'second')
    await guestDoes.writes(page, 'third')
    await service.ended()
    await page.getByText('No connection').waitFor()
    await guestDoes.writes(page, 'fourth')
    await service.start()
    await until('all four', () => anna.heard.texts.length >= 4)
    await page.locator('.message.waiting').first().waitFor({ state: 'hidden' })
    await guestDoes.writes(page, 'fifth')
    await until('the fifth', () => anna.heard.texts.includes('fifth'))
    assert.deepEqual(anna.heard.texts, ['first', 'second', 'third', 'fourth', 'fifth'])
  })
})
