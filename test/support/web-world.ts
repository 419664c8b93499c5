/**
 * The pages as browsers get them: built, served with their headers, over a provider in this process. A host is the SDK in
 * Node; a guest is Chromium.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { WebSocketServer } from 'ws'
import { buildPages } from '../../scripts/pages/build.ts'
import { root } from '../../scripts/support/command.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { webSocketPath, webSocketPipe } from '../../src/messenger/index.ts'
import { openPages } from '../../src/pages/index.ts'
import { launchChromium } from './chromium.ts'
import { type TestDevice, testProvider, until } from './provider.ts'

export interface WebWorld {
  readonly provider: Awaited<ReturnType<typeof testProvider>>
  readonly url: string
  readonly directory: string
  /** A browser of its own for somebody: nothing is shared with others. What a page throws is kept. */
  visitor(options?: BrowserContextOptions): Promise<Visitor>
  /** Cuts every WebSocket, and takes no more until `up`. */
  down(): void
  up(): void
  close(): Promise<void>
}

export interface Visitor {
  readonly context: BrowserContext
  readonly page: Page
  /** Errors of the page, and what the console says of them. */
  readonly faults: string[]
}

let built: Promise<string> | undefined

/** The folder of the pages, built once for all tests of a process. */
export function builtPages(): Promise<string> {
  built ??= (async () => {
    const directory = mkdtempSync(join(tmpdir(), 'silta-web-'))
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
    const pages = join(directory, 'static')
    await buildPages(root, pages)
    return pages
  })()
  return built
}

export async function webWorld(
  settings: { app?: (app: Hono) => void; browser?: Browser } & Parameters<typeof testProvider>[0] = {},
): Promise<WebWorld> {
  const { app: more, browser: given, ...rest } = settings
  const directory = await builtPages()
  const provider = await testProvider(rest)
  const app = new Hono()
  more?.(app)
  const { provider: name, providerKeyPair } = provider
  const pages = openPages({
    crypto: nodeCrypto,
    provider: name,
    providerKey: providerKeyPair.privateKey,
    trial: true,
    directory,
  })
  app.route('/', pages!)
  const server = createServer(getRequestListener(app.fetch))
  const sockets = new WebSocketServer({ noServer: true })
  let taking = true
  server.on('upgrade', (request, socket, head) => {
    if (!taking || request.url !== webSocketPath) return void socket.destroy()
    sockets.handleUpgrade(request, socket, head, (webSocket) => provider.gateway.connect(webSocketPipe(webSocket)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://localhost:${(server.address() as AddressInfo).port}`
  const browser = given ?? (await launchChromium())
  return {
    provider,
    url,
    directory,
    async visitor(options = {}) {
      const context = await browser.newContext({ locale: 'en-GB', ...options })
      const page = await context.newPage()
      page.setDefaultTimeout(patienceMs)
      const faults: string[] = []
      page.on('pageerror', (error) => faults.push(String(error)))
      page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
      return { context, page, faults }
    },
    down() {
      taking = false
      for (const socket of sockets.clients) socket.terminate()
    },
    up() {
      taking = true
    },
    async close() {
      if (!given) await browser.close()
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      server.closeAllConnections()
      server.close()
      await provider.close()
    },
  }
}

/** A busy machine is no defect. */
const patienceMs = 120_000

/** What a person does on the page of a guest, by what is to be read there in English. */
export const guestDoes = {
  button: (page: Page, name: string) => page.getByRole('button', { name, exact: true }),
  field: (page: Page, name: string) => page.getByRole('textbox', { name }),
  /** From the link to the chat. */
  async comesIn(page: Page, link: string, name: string, pin?: string): Promise<void> {
    await page.goto(link)
    await guestDoes.button(page, 'Continue').click()
    await guestDoes.field(page, 'Your name').fill(name)
    if (pin !== undefined) await guestDoes.field(page, 'PIN').fill(pin)
    await guestDoes.button(page, 'Start the chat').click()
    await guestDoes.field(page, 'Write a message').waitFor()
  },
  async writes(page: Page, text: string): Promise<void> {
    await guestDoes.field(page, 'Write a message').fill(text)
    await guestDoes.button(page, 'Send').click()
  },
  reads: (page: Page, text: string) =>
    page.locator('.log .text').getByText(text, { exact: true }).waitFor({ timeout: patienceMs }),
}

/** The one room of this host with a guest that is joined, once there is one. */
export async function guestRoom({ device }: Pick<TestDevice, 'device'>): Promise<RoomId> {
  let found: RoomId | undefined
  await until('the guest’s room', async () => {
    found = (await device.rooms()).find(({ kind, joined }) => kind === 'guest' && joined)?.id
    return found !== undefined
  })
  return found!
}
