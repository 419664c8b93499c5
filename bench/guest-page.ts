import type { Browser } from 'playwright-core'
import { launchChromium } from '../test/support/chromium.ts'
import { guestDoes } from '../test/support/web-world.ts'

/**
 * From sending off the name to the provider's acceptance of the first message that is written, in ms, on the guest's page
 * in Chromium: one time for each link, in a browser context of its own. The name is typed as people type; the message is there at once.
 */
export async function measureGuestPage(links: readonly string[]): Promise<number[]> {
  const browser = await launchChromium()
  try {
    const times: number[] = []
    for (const link of links) times.push(await firstMessage(browser, link))
    return times
  } finally {
    await browser.close()
  }
}

/** As a quick person types. */
const betweenKeysMs = 150

async function firstMessage(browser: Browser, link: string): Promise<number> {
  const context = await browser.newContext({ locale: 'en-GB' })
  try {
    const page = await context.newPage()
    await page.goto(link)
    await guestDoes.button(page, 'Continue').click()
    await guestDoes.field(page, 'Your name').pressSequentially('Mia', { delay: betweenKeysMs })
    // And the way from the keyboard to the button.
    await page.waitForTimeout(betweenKeysMs)
    return await page.evaluate(async () => {
      const there = <T extends Element>(selector: string) =>
        new Promise<T>((resolve) => {
          const look = () => {
            const found = document.querySelector<T>(selector)
            if (!found) return
            observer.disconnect()
            resolve(found)
          }
          const observer = new MutationObserver(look)
          observer.observe(document, { subtree: true, childList: true, attributes: true })
          look()
        })
      const began = performance.now()
      document.querySelector('form')!.requestSubmit()
      const field = await there<HTMLTextAreaElement>('.composer textarea')
      field.value = 'good day'
      field.dispatchEvent(new Event('input', { bubbles: true }))
      // What was put in is the page's own after it has rendered.
      for (; field.value !== ''; await new Promise((resolve) => setTimeout(resolve))) field.form!.requestSubmit()
      await there('.message.sent, .message.delivered, .message.read')
      return performance.now() - began
    })
  } finally {
    await context.close()
  }
}
