// The pages for everybody: WCAG 2.2 AA as far as axe-core can tell, by keyboard alone, large, without motion, right to left.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Page, Route } from 'playwright-core'
import { textMessage } from '../src/content/index.ts'
import { languages } from '../src/web/texts/index.ts'
import { chromiumMissing } from './support/chromium.ts'
import { listen, until } from './support/provider.ts'
import { guestDoes, guestRoom, type WebWorld, webWorld } from './support/web-world.ts'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const { button, field, comesIn, writes, reads } = guestDoes

interface AxeFinding {
  id: string
  nodes: { html: string; failureSummary?: string }[]
}

/** What axe-core finds on a page as it is now, in words. */
async function barriers(page: Page): Promise<string[]> {
  // Through the debugger, which the page's policy does not bind.
  await page.evaluate(axeSource)
  // Colours fade when their scheme changes; what axe sees on the way is on no screen for longer than that.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)))
  const found = await page.evaluate(async (tags) => {
    const { axe } = globalThis as unknown as { axe: { run(options: object): Promise<{ violations: AxeFinding[] }> } }
    return (await axe.run({ runOnly: { type: 'tag', values: tags } })).violations
  }, rules)
  return found.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`,
  )
}

describe('the pages', { skip: chromiumMissing() }, () => {
  let world: WebWorld
  before(async () => {
    world = await webWorld({
      app: (app) =>
        app.post('/trial/token', async (c) => {
          const { name } = (await c.req.json()) as { name: string }
          return c.json({ token: JSON.stringify({ subject: name, kind: 'person' }) })
        }),
    })
  })
  after(() => world.close())
  const invited = async (choices = {}) => {
    const anna = await world.provider.register(`anna ${Math.random()}`)
    await anna.device.setProfile({ name: 'Anna' })
    const { link } = await anna.device.createInvite({ base: world.url, name: 'Anna', ...choices })
    return { anna, link, heard: listen(anna.device) }
  }

  for (const colorScheme of ['light', 'dark'] as const)
    test(`have no barrier that axe-core knows, in any state (${colorScheme})`, async () => {
      const { anna, link } = await invited({ pin: '4711' })
      const { page, context } = await world.visitor({ colorScheme, viewport: { width: 360, height: 740 } })
      const found: string[] = []
      const look = async (state: string) => found.push(...(await barriers(page)).map((each) => `${state} ${each}`))
      await page.goto(link.split('#')[0]!)
      await page.getByRole('heading', { name: 'incomplete' }).waitFor()
      await look('incomplete')
      await page.goto(link)
      await button(page, 'Continue').waitFor()
      await page.locator('summary').click()
      await look('offer')
      await button(page, 'Continue').click()
      await field(page, 'PIN').fill('1')
      await field(page, 'Your name').fill('Mia')
      await button(page, 'Start the chat').click()
      await page.getByRole('alert').waitFor()
      await look('name')
      await field(page, 'PIN').fill('4711')
      await button(page, 'Start the chat').click()
      await field(page, 'Write a message').waitFor()
      await look('empty chat')
      await writes(page, 'hello')
      const room = await guestRoom(anna)
      await anna.device.accept(room)
      await anna.device.send(room, textMessage({ plain: 'see https://example.org' }))
      await reads(page, 'see https://example.org')
      await page.locator('.message.theirs').hover()
      await page.locator('.message.theirs .reply').click()
      world.down()
      await page.getByText('No connection').waitFor()
      await writes(page, 'waits')
      await look('chat without a connection')
      world.up()
      await button(page, 'Menu').click()
      await look('menu')
      await page.getByRole('button', { name: 'Safety number' }).click()
      await look('safety number')
      await page.keyboard.press('Escape')
      await button(page, 'Menu').click()
      await page.getByRole('button', { name: 'Report' }).click()
      await look('report')
      await page.keyboard.press('Escape')
      await button(page, 'Menu').click()
      await button(page, 'Leave and erase').click()
      await look('leave')
      await button(page, 'Leave and erase').click()
      await page.getByRole('heading', { name: 'has ended' }).waitFor()
      await look('over')
      await page.goto(`${world.url}/app`)
      await button(page, 'Create account').waitFor()
      await look('welcome')
      await field(page, 'Name').fill('ada')
      await button(page, 'Create account').click()
      await button(page, 'Invite a guest').click()
      await look('invite')
      await button(page, 'Make the link').click()
      await page.getByRole('img', { name: 'The link as a code' }).waitFor()
      await look('link')
      await page.keyboard.press('Escape')
      await button(page, 'Settings').click()
      await look('settings')
      await page.keyboard.press('Escape')
      await look('list')
      assert.deepEqual(found, [])
      await context.close()
    })

  test('have none either where somebody waits, is turned away, has another tab, no service or an old browser (light and dark)', async () => {
    const found: string[] = []
    const look = async (page: Page, state: string) => {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        found.push(...(await barriers(page)).map((each) => `${state}, ${colorScheme}: ${each}`))
      }
    }
    const small = { viewport: { width: 360, height: 740 } }
    const { anna, link } = await invited({ approval: true })
    const asks = await world.visitor(small)
    const guest = new Promise<Parameters<typeof anna.device.answerGuest>[0]>((resolve) => {
      anna.device.on('guest', (waiting) => resolve(waiting))
    })
    await asks.page.goto(link)
    await button(asks.page, 'Continue').click()
    await field(asks.page, 'Your name').fill('Mia')
    await button(asks.page, 'Ask to join').click()
    await field(asks.page, 'Your first message').waitFor()
    await look(asks.page, 'waiting')
    await anna.device.answerGuest(await guest, false)
    await asks.page.getByText('You were not let in').waitFor()
    await look(asks.page, 'turned away')
    await asks.page.reload()
    await asks.page.getByRole('heading', { name: 'incomplete' }).waitFor()
    const { id, link: revoked } = await anna.device.createInvite({ base: world.url })
    await anna.device.revokeInvite(id)
    await asks.page.goto(revoked)
    await asks.page.getByText('Ask for a new link').waitFor()
    await look(asks.page, 'gone')
    await asks.context.close()

    const old = await world.visitor(small)
    await old.context.addInitScript('delete globalThis.BroadcastChannel')
    await old.page.goto(link)
    await old.page.getByRole('heading', { name: 'too old' }).waitFor()
    await look(old.page, 'unfit')
    await old.context.close()

    const tabs = await world.visitor(small)
    const { link: another } = await invited()
    await comesIn(tabs.page, another, 'Mia')
    const second = await tabs.context.newPage()
    await second.goto(another)
    await button(second, 'Use it here').waitFor()
    await look(second, 'elsewhere')
    await tabs.context.close()

    world.down()
    const away = await world.visitor(small)
    await away.page.goto((await invited()).link)
    await button(away.page, 'Try again').waitFor()
    await look(away.page, 'trouble')
    world.up()
    await button(away.page, 'Continue').waitFor()
    await away.context.close()
    assert.deepEqual(found, [])
  })

  test('are used by keyboard alone, from the link to a reply, the menu and leaving', async () => {
    const { anna, link, heard } = await invited()
    const { page, context } = await world.visitor({ viewport: { width: 1280, height: 800 } })
    const press = (...keys: string[]) =>
      keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
    /** Tab, until what has the focus is called so. */
    const tabTo = async (name: string) => {
      for (let steps = 0; steps < 30; steps++) {
        await press('Tab')
        const focused = await page.evaluate(() => {
          const element = document.activeElement?.closest('button, a, input, summary, select')
          return `${element?.getAttribute('aria-label') ?? ''} ${element?.textContent ?? ''}`
        })
        if (focused.includes(name)) return
      }
      assert.fail(`no way to ${name} by Tab`)
    }
    await page.goto(link)
    await button(page, 'Continue').waitFor()
    await tabTo('Continue')
    await press('Enter')
    await field(page, 'Your name').waitFor()
    await until('the focus', () => field(page, 'Your name').evaluate((element) => element === document.activeElement))
    await page.keyboard.type('Mia')
    await press('Enter')
    await field(page, 'Write a message').waitFor()
    await until('the focus', () =>
      field(page, 'Write a message').evaluate((element) => element === document.activeElement),
    )
    await page.keyboard.type('one')
    await press('Shift+Enter')
    await page.keyboard.type('two')
    await press('Enter')
    const room = await guestRoom(anna)
    await anna.device.accept(room)
    await anna.device.send(room, textMessage({ plain: 'which one?' }))
    await reads(page, 'which one?')
    // Up to the newest message, Enter answers it, and one writes on.
    await press('ArrowUp', 'Enter')
    await page.locator('.answering').waitFor()
    await page.keyboard.type('the first')
    await press('Enter')
    await until('both texts', () => heard.texts.length === 2)
    assert.deepEqual(heard.texts, ['one\ntwo', 'the first'])
    assert.ok(heard.messages[1]?.content.inReplyTo)
    await press('Alt+n')
    await page.getByRole('dialog', { name: 'Safety number' }).waitFor()
    await press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    assert.ok(await field(page, 'Write a message').evaluate((element) => element === document.activeElement))
    await press('Alt+m')
    await page.getByRole('dialog', { name: 'Menu' }).waitFor()
    await tabTo('Leave and erase')
    await press('Enter')
    await page.getByRole('dialog', { name: 'Leave and erase?' }).waitFor()
    await tabTo('Leave and erase')
    await press('Enter')
    await page.getByRole('heading', { name: 'has ended' }).waitFor()
    await context.close()
  })

  test('at 200 % on a small computer, and at 320 px, nothing is cut off sideways; right to left; no motion where none is wished', async () => {
    const { anna, link } = await invited()
    const options = {
      reducedMotion: 'reduce',
      locale: 'ar',
      viewport: { width: 640, height: 400 },
      deviceScaleFactor: 2,
    } as const
    const { page, context, faults } = await world.visitor(options)
    const fits = async (state: string) => {
      const { wide, moving } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        moving: [...document.body.querySelectorAll('*')]
          .filter((element) => {
            const { transitionDuration, animationDuration, animationName } = getComputedStyle(element)
            return /[1-9]/.test(transitionDuration) || (animationName !== 'none' && /[1-9]/.test(animationDuration))
          })
          .map(({ outerHTML }) => outerHTML.slice(0, 200)),
      }))
      assert.deepEqual([state, wide, moving], [state, 0, []])
    }
    await page.goto(link)
    await page.locator('button.main').waitFor()
    await until('Arabic', () => page.evaluate(() => document.documentElement.dir === 'rtl'))
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'ar')
    await page.locator('h1').getByText('يدعوك').waitFor()
    await fits('offer')
    await page.setViewportSize({ width: 320, height: 500 })
    await fits('offer, narrow')
    await page.locator('button.main').click()
    await page.locator('input[name=name]').fill('م'.repeat(64))
    await fits('name')
    await page.locator('button.main').click()
    await page.locator('.composer textarea').fill(`${'W'.repeat(300)}\n${'👍🏽'.repeat(30)}`)
    await page.locator('.composer .send').click()
    const room = await guestRoom(anna)
    await anna.device.accept(room)
    await anna.device.send(room, textMessage({ plain: `https://example.org/${'x'.repeat(300)}` }))
    await page.locator('.message.theirs').waitFor()
    await fits('chat')
    // The own bubble is on the other side than in English: at the left.
    const [own, theirs] = await Promise.all(
      ['.mine .bubble', '.theirs .bubble'].map(async (each) => (await page.locator(each).first().boundingBox())!),
    )
    assert.ok(own!.x < theirs!.x)
    await page.locator('.head button').click()
    await fits('menu')
    await page.locator('.menu .item').first().click()
    await fits('safety number')
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('hundreds of messages: the newest is in view, the reader stays where they are, and earlier ones come on wish', async () => {
    const { anna, link } = await invited()
    const { page, context, faults } = await world.visitor({ viewport: { width: 820, height: 1180 } })
    await comesIn(page, link, 'Mia')
    await writes(page, 'go on')
    const room = await guestRoom(anna)
    await anna.device.accept(room)
    for (let i = 1; i <= 230; i++) await anna.device.send(room, textMessage({ plain: `number ${i}` }))
    await reads(page, 'number 230')
    const inView = (text: string) =>
      page
        .locator('.log .text')
        .getByText(text, { exact: true })
        .evaluate((element) => {
          const { top, bottom } = element.getBoundingClientRect()
          return top >= 0 && bottom <= innerHeight
        })
    await until('the newest in view', () => inView('number 230'))
    await page.locator('.log').evaluate((element) => element.scrollTo({ top: element.scrollHeight / 2 }))
    await page.locator('.newest').waitFor()
    const before = await page.locator('.log').evaluate((element) => element.scrollTop)
    await anna.device.send(room, textMessage({ plain: 'one more' }))
    await page.locator('.newest .count').waitFor()
    assert.equal(await page.locator('.log').evaluate((element) => element.scrollTop), before)
    await page.locator('.newest').click()
    await until('the newest in view', () => inView('one more'))
    await page.reload()
    await reads(page, 'one more')
    await page.locator('.log').evaluate((element) => element.scrollTo({ top: 0 }))
    await button(page, 'Show earlier messages').click()
    await page.locator('.log .text').getByText('number 1', { exact: true }).waitFor({ state: 'attached' })
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('where the words of a language do not come it is English, and where none come they are asked for again', async () => {
    const { link } = await invited()
    const { context, page } = await world.visitor({ locale: 'de-DE' })
    let lost = 0
    const lose = (route: Route) => {
      lost++
      return route.abort()
    }
    await context.route(/guest-(de|en)-/, lose)
    await page.goto(link)
    await until('both were asked for twice', () => lost >= 4)
    assert.equal(await button(page, 'Continue').count(), 0)
    await context.unroute(/guest-(de|en)-/, lose)
    await context.route(/guest-de-/, lose)
    await button(page, 'Continue').waitFor()
    assert.equal(await page.locator('html').getAttribute('lang'), 'en')
    await context.close()
  })

  test('the whole page of a guest is under 120,000 bytes in every language, compressed by gzip', () => {
    const list = JSON.parse(readFileSync(`${world.directory}/pages.json`, 'utf8')) as {
      pages: Record<string, { assets: string[] }>
    }
    const sizeOf = (file: string) => gzipSync(readFileSync(`${world.directory}/${file}`), { level: 9 }).length
    const { assets } = list.pages.guest!
    const always = ['/guest.html', ...assets.filter((path) => /\.(js|css|svg)$/.test(path))]
    for (const language of Object.keys(languages)) {
      const words = assets.filter((path) => path.startsWith(`/assets/guest-${language}-`))
      assert.equal(words.length, 1, language)
      const sizes = [...always, ...words].map((file) => [file, sizeOf(file)] as const)
      const sum = sizes.reduce((all, [, bytes]) => all + bytes, 0)
      assert.ok(sum < 120_000, `${language}: ${sum} bytes: ${sizes.join(', ')}`)
    }
    // What is not counted: the words of other languages, and licences, which nobody loads without a wish.
    const counted = assets.filter((path) => always.includes(path)).length
    assert.equal(assets.length, counted + Object.keys(languages).length + 1)
  })
})
