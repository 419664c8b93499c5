// The page of an invited person, in Chromium, with hosts in Node.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import type { InviteChoices } from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import { fromBase64Url, toHex } from '../src/crypto/index.ts'
import { chromiumMissing } from './support/chromium.ts'
import { listen, until } from './support/provider.ts'
import { guestDoes, guestRoom, type WebWorld, webWorld } from './support/web-world.ts'

const { button, field, comesIn, writes, reads } = guestDoes
const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }

describe('the guest page', { skip: chromiumMissing() }, () => {
  let world: WebWorld
  let people = 0
  /** By how much the provider's clock is ahead. */
  let ahead = 0
  before(async () => {
    world = await webWorld({ clock: () => Date.now() + ahead })
  })
  after(() => world.close())

  async function host(choices: InviteChoices = {}) {
    const anna = await world.provider.register(`host ${++people}`)
    await anna.device.setProfile({ name: 'Anna' })
    const { link, id } = await anna.device.createInvite({ base: world.url, name: 'Anna', ...choices })
    const says = async (plain: string) => {
      const room = await guestRoom(anna)
      if ((await anna.device.room(room))?.standing === 'requested') await anna.device.accept(room)
      await anna.device.send(room, textMessage({ plain }))
    }
    return { anna, link, invite: id, heard: listen(anna.device), says }
  }
  const databases = (page: Page) =>
    page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name ?? '').sort())

  test('two guests and two hosts at once, on a phone and a computer: from the link to a chat that survives a reload', async () => {
    const one = async (options: object, name: string) => {
      const { anna, link, heard, says } = await host()
      const { page, faults, context } = await world.visitor(options)
      await page.goto(link)
      await page.getByRole('heading', { name: 'invites you to a chat' }).waitFor()
      assert.equal(new URL(page.url()).hash, '')
      await comesIn(page, link, name)
      await writes(page, `good day from ${name}`)
      await says(`hello ${name}`)
      await reads(page, `hello ${name}`)
      await page.getByText(`${name}`, { exact: false }).getByText('(Guest)').waitFor()
      await page.reload()
      await reads(page, `hello ${name}`)
      await reads(page, `good day from ${name}`)
      // A quoted reply, and a draft that survives a reload.
      await page.locator('.message.theirs').hover()
      await page.locator('.message.theirs .reply').click()
      await writes(page, 'answered')
      await page.locator('blockquote').getByText(`hello ${name}`).waitFor()
      // What became of it, and that somebody writes.
      const room = await guestRoom(anna)
      await page.locator('.message.mine.delivered').waitFor()
      await until('both texts', () => heard.texts.length === 2)
      await anna.device.markRead(room, heard.messages[1]!.messageId)
      await until('both read', async () => (await page.locator('.message.mine.read').count()) === 2)
      await until('that the host writes', async () => {
        await anna.device.typing(room)
        return page.getByText('is writing').isVisible()
      })
      await until('the draft', async () => {
        await field(page, 'Write a message').fill('not sent yet')
        await page.reload()
        return (await field(page, 'Write a message').inputValue()) === 'not sent yet'
      })
      assert.deepEqual(heard.texts, [`good day from ${name}`, 'answered'])
      const guests = (await anna.device.members(room)).filter(({ own }) => !own)
      assert.equal(guests[0]?.profile?.name, name)
      assert.deepEqual(heard.messages[1]?.content.inReplyTo?.length, 32)
      assert.deepEqual([faults, heard.faults], [[], []])
      await context.close()
    }
    await Promise.all([one(phone, 'Mia'), one({ viewport: { width: 1440, height: 900 } }, 'Max')])
  })

  test('without a connection one goes on writing; what waited is sent once, in order', async () => {
    const { link, heard, says } = await host()
    const { page, context } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await writes(page, 'first')
    await page.locator('.message.sent, .message.delivered, .message.read').waitFor()
    // The browser knows first: it is said at once, and forgotten when it comes back.
    await context.setOffline(true)
    await page.getByText('No connection').waitFor()
    await context.setOffline(false)
    await page.getByText('No connection').waitFor({ state: 'hidden' })
    world.down()
    await page.getByText('No connection').waitFor()
    await writes(page, 'second')
    await writes(page, 'third')
    await page.locator('.message.waiting').nth(1).waitFor()
    await page.reload() // without a connection the page itself comes, and what waits is still there
    await page.locator('.message.waiting').nth(1).waitFor()
    world.up()
    await until('all three', () => heard.texts.length >= 3)
    await page.locator('.message.waiting').waitFor({ state: 'hidden' })
    await says('got it')
    await reads(page, 'got it')
    assert.deepEqual(heard.texts, ['first', 'second', 'third'])
    await context.close()
  })

  test('the secret leaves the browser in no request, referrer or frame, and is kept in IndexedDB alone, until the chat begins', async () => {
    const { link, heard } = await host({ pin: '4711' })
    const { page, context } = await world.visitor()
    const seen: string[] = []
    context.on('request', (request) => {
      seen.push(request.url(), JSON.stringify(request.headers()), request.postData() ?? '')
    })
    page.on('websocket', (socket) => {
      seen.push(socket.url())
      socket.on('framesent', ({ payload }) =>
        seen.push(toHex(Buffer.from(payload)), Buffer.from(payload).toString('latin1')),
      )
    })
    page.on('console', (message) => seen.push(message.text()))
    const fragment = link.split('#')[1]!
    const secret = fromBase64Url(fragment).subarray(1, 33)
    const forms = [
      fragment,
      fragment.slice(4, 40),
      toHex(secret),
      Buffer.from(secret).toString('latin1'),
      Buffer.from(secret).toString('base64').slice(0, 40),
    ]
    const elsewhere = () =>
      page.evaluate(async () => ({
        address: location.href,
        document: document.URL,
        referrer: document.referrer,
        history: JSON.stringify(history.state),
        local: JSON.stringify({ ...localStorage }),
        session: JSON.stringify({ ...sessionStorage }),
        cookies: document.cookie,
        caches: JSON.stringify(await caches.keys()),
        markup: document.documentElement.outerHTML,
        name: window.name,
      }))
    const kept = () =>
      page.evaluate(
        () =>
          new Promise<string>((resolve) => {
            const opening = indexedDB.open('silta links')
            opening.onsuccess = () => {
              const all = opening.result.transaction('links').objectStore('links').getAll()
              all.onsuccess = () => {
                opening.result.close()
                resolve(JSON.stringify(all.result))
              }
            }
          }),
      )
    await page.goto(link)
    await button(page, 'Continue').waitFor()
    assert.ok((await kept()).includes(fragment), 'kept for a reload')
    seen.push(JSON.stringify(await elsewhere()))
    await page.reload()
    await button(page, 'Continue').click()
    await field(page, 'Your name').fill('Mia')
    await field(page, 'PIN').fill('4711')
    await button(page, 'Start the chat').click()
    await writes(page, 'good day')
    await until('the text', () => heard.texts.length === 1)
    seen.push(JSON.stringify(await elsewhere()), await kept())
    assert.ok(seen.length > 20)
    for (const form of forms) assert.ok(!seen.some((text) => text.includes(form)), 'a form of the secret was seen')
    assert.ok(!seen.some((text) => text.includes('4711') && text.includes('"pin"')))
    const origins = new Set(seen.filter((text) => /^(https?|wss?):/.test(text)).map((text) => new URL(text).host))
    assert.deepEqual([...origins], [new URL(world.url).host])
    await context.close()
  })

  test('a clock that is days off, and a browser without WebCrypto’s Ed25519, do no harm', async () => {
    for (const days of [-3, 40]) {
      const { link, heard, says } = await host()
      const { page, context, faults } = await world.visitor()
      await context.addInitScript(`{
        const Real = Date, off = ${days} * 24 * 3600 * 1000
        globalThis.Date = class extends Real {
          constructor(...given) { if (given.length) super(...given); else super(Real.now() + off) }
          static now() { return Real.now() + off }
        }
        Object.defineProperty(crypto, 'subtle', { value: undefined })
      }`)
      await comesIn(page, link, 'Mia')
      await writes(page, 'what time is it?')
      await until('the text', () => heard.texts.length === 1)
      await says('late')
      await reads(page, 'late')
      assert.deepEqual(faults, [])
      await context.close()
    }
  })

  test('where nothing can be kept, or the browser is too old, that is said before anything is typed; the link is not used up', async () => {
    const { link } = await host()
    const missing = [
      [
        `Object.defineProperty(globalThis, 'indexedDB', { value: { open() { throw new DOMException('', 'SecurityError') } } })`,
        'does not let the page keep anything',
      ],
      ['delete globalThis.BroadcastChannel', 'too old for this page'],
    ] as const
    for (const [script, words] of missing) {
      const { page, context } = await world.visitor()
      await context.addInitScript(script)
      await page.goto(link)
      await page.getByRole('heading', { name: words }).waitFor()
      assert.equal(await page.getByRole('textbox').count(), 0)
      await context.close()
    }
    const { page, context } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await context.close()
  })

  test('a wrong PIN is told with the tries that are left; a used, a revoked and an unknown link say one and the same', async () => {
    const { anna, link, invite } = await host({ pin: '4711' })
    const { page, context } = await world.visitor()
    await page.goto(link)
    await button(page, 'Continue').click()
    await button(page, 'Start the chat').click()
    await page.getByText('Write a name first').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'name')
    await field(page, 'Your name').fill('Mia')
    await field(page, 'PIN').fill('1234')
    await button(page, 'Start the chat').click()
    await page.getByRole('alert').getByText('Tries left').waitFor()
    assert.match((await page.getByRole('alert').textContent())!, /Tries left: .?4/)
    // Whoever typed goes on where the fault is.
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'pin')
    await field(page, 'PIN').fill('4711')
    await button(page, 'Start the chat').click()
    await field(page, 'Write a message').waitFor()

    const another = await anna.device.createInvite({ base: world.url })
    await anna.device.revokeInvite(another.id)
    const unknown = link.replace(invite, `${invite[0] === 'A' ? 'B' : 'A'}${invite.slice(1)}`)
    const said: (string | null)[] = []
    for (const each of [link, another.link]) {
      const stranger = await world.visitor()
      await stranger.page.goto(each)
      await stranger.page.getByRole('heading', { name: 'does not open a chat' }).waitFor()
      said.push(await stranger.page.locator('main').textContent())
      await stranger.context.close()
    }
    assert.equal(said[0], said[1])
    const mistyped = await world.visitor()
    await mistyped.page.goto(unknown)
    await mistyped.page.getByRole('heading', { name: 'incomplete' }).waitFor()
    // Whole, pasted: the address is another one then, and the chat is offered.
    const fresh = await anna.device.createInvite({ base: world.url, name: 'Anna' })
    await field(mistyped.page, 'The whole link').fill(` ${fresh.link.slice(0, 40)}\n${fresh.link.slice(40)} `)
    await button(mistyped.page, 'Open').click()
    await mistyped.page.getByRole('heading', { name: 'invites you' }).waitFor()
    assert.equal(new URL(mistyped.page.url()).hash, '')
    await mistyped.context.close()
    await context.close()
  })

  test('one tab at a time; another takes the chat over without a loss', async () => {
    const { link, heard, says } = await host()
    const { page, context } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await writes(page, 'from the first')
    await page.locator('.message.sent, .message.delivered, .message.read').waitFor()
    const second = await context.newPage()
    await second.goto(link)
    await second.getByRole('heading', { name: 'open in another tab' }).waitFor()
    await button(second, 'Use it here').click()
    await reads(second, 'from the first')
    await page.getByRole('heading', { name: 'open in another tab' }).waitFor()
    await writes(second, 'from the second')
    await says('seen both')
    await reads(second, 'seen both')
    assert.deepEqual(heard.texts, ['from the first', 'from the second'])
    await button(page, 'Use it here').click()
    await reads(page, 'seen both')
    await context.close()
  })

  test('when the host ends it, the page says so at once and the browser’s copy is gone, also after a reload', async () => {
    const { anna, link, invite } = await host()
    const { page, context, faults } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await writes(page, 'something')
    await guestRoom(anna)
    assert.deepEqual(await databases(page), [`silta guest ${invite}`, 'silta links'])
    await anna.device.revokeInvite(invite)
    await page.getByRole('heading', { name: 'This chat has ended' }).waitFor()
    await page.getByText('has ended it').waitFor()
    await until('the erasing', async () => !(await databases(page)).some((name) => name.startsWith('silta guest')))
    await page.goto(link)
    await page.getByText('has ended it').waitFor()
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('leaving erases all, and the host is told; blocking too', async () => {
    for (const how of ['Leave and erase', 'Block']) {
      const { anna, link } = await host()
      const { page, context } = await world.visitor()
      await comesIn(page, link, 'Mia')
      await writes(page, 'goodbye')
      const room = await guestRoom(anna)
      await button(page, 'Menu').click()
      await button(page, how).click()
      await button(page, how === 'Block' ? 'Block and erase' : how).click()
      await page.getByRole('heading', { name: 'This chat has ended' }).waitFor()
      assert.deepEqual(await databases(page), ['silta links'])
      await until('the host', async () => (await anna.device.room(room))?.standing === 'left')
      await context.close()
    }
  })

  test('unread messages stand in the title and above a line; the safety number is the host’s', async () => {
    const { anna, link, says } = await host()
    const { page, context } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await writes(page, 'hello?')
    // Another page is in front: nothing is seen.
    await context.addInitScript(() => Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' }))
    await page.reload()
    await field(page, 'Write a message').waitFor()
    await says('one')
    await says('two')
    await until('the title', async () => /2/.test(await page.title()))
    await page.locator('.unread').waitFor()
    await button(page, 'Menu').click()
    await page.getByRole('button', { name: 'Safety number' }).click()
    const digits = (await page.locator('.number').textContent())!.replaceAll(/\s/g, '')
    assert.equal(digits, (await anna.device.safetyNumber(await guestRoom(anna))).replaceAll(' ', ''))
    await button(page, 'Mark as compared').click()
    await page.getByText('You have compared it').waitFor()
    await page.reload()
    await page.locator('.compared').waitFor()
    await context.close()
  })

  test('a report says before what is sent to whom, and the chat goes on', async () => {
    const { link, says } = await host()
    const { page, context, faults } = await world.visitor(phone)
    await comesIn(page, link, 'Mia')
    await writes(page, 'hello')
    await says('buy this')
    await button(page, 'Menu').click()
    await page.getByRole('button', { name: 'Report' }).click()
    await page.getByText('Nothing that was written is sent').waitFor()
    await page.getByLabel('Threats or insults').check()
    await button(page, 'Send the report').click()
    await page.getByText('The report was sent').waitFor()
    await page.keyboard.press('Escape')
    await writes(page, 'no, thank you')
    await page.locator('.message.mine').nth(1).waitFor()
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('before a chat ends it says so, and is kept open by a button', async () => {
    const { anna, link } = await host()
    const { page, context } = await world.visitor()
    await comesIn(page, link, 'Mia')
    await writes(page, 'are you there?')
    await guestRoom(anna)
    await page.locator('.message.sent, .message.delivered, .message.read').waitFor()
    ahead = 9.5 * 24 * 3600 * 1000
    try {
      await page.reload()
      await page.getByText('The chat ends').waitFor()
      await button(page, 'Keep it open').click()
      await page.getByText('It stays open until').waitFor()
    } finally {
      ahead = 0
    }
    await context.close()
  })
})
