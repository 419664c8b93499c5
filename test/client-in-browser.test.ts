import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { WebSocketServer } from 'ws'
import { durableStorageContract, storageContract } from '../src/client/storage/contract.ts'
import { webSocketPath, webSocketPipe } from '../src/messenger/index.ts'
import { chromiumMissing, launchChromium } from './support/chromium.ts'
import type { ClientPage } from './support/client-page.ts'
import { testProvider } from './support/provider.ts'

/** Bundled as for a page: anything of Node in it is an error. */
async function bundle(entry: string) {
  const result = await build({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2024',
    minify: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  return { text: result.outputFiles[0]!.text, inputs: Object.keys(result.metafile.inputs) }
}

test('the SDK can be bundled for a browser, with nothing of Node or of a database in it', async () => {
  const { text, inputs } = await bundle('../src/client/index.ts')
  const foreign = inputs.filter((path) => /src\/store|storage\/sql|\/pg\/|pglite|\/ws\/|node:/.test(path))
  assert.deepEqual(foreign, [])
  assert.doesNotMatch(text, /from\s*"node:/)
})

describe('in Chromium', { skip: chromiumMissing() }, () => {
  let provider: Awaited<ReturnType<typeof testProvider>>
  let browser: Browser
  let address: string
  let stop: () => Promise<void>

  before(async () => {
    provider = await testProvider()
    const { text: script } = await bundle('./support/client-page.ts')
    const server = createServer((request, response) => {
      const isScript = request.url === '/page.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? script : '<!doctype html><title>Silta</title><script type=module src=/page.js></script>')
    })
    const sockets = new WebSocketServer({ server, path: webSocketPath })
    sockets.on('connection', (socket) => provider.gateway.connect(webSocketPipe(socket)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    address = `http://localhost:${(server.address() as AddressInfo).port}/`
    browser = await launchChromium()
    stop = async () => {
      await browser.close()
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      server.closeAllConnections()
      server.close()
      await provider.close()
    }
  })
  after(() => stop())

  /** A page with the SDK in it; what it throws or writes as an error fails the test that called. */
  const opened = async (page: Page) => {
    await page.goto(address)
    await page.waitForFunction('globalThis.page !== undefined')
    return {
      open: (name: string) =>
        page.evaluate((name) => (globalThis as never as { page: ClientPage }).page.open(name), name),
      write: (...words: Parameters<ClientPage['write']>) =>
        page.evaluate((words) => (globalThis as never as { page: ClientPage }).page.write(...words), words),
      contract: () => page.evaluate(() => (globalThis as never as { page: ClientPage }).page.contract()),
      heard: () => page.evaluate(() => (globalThis as never as { page: ClientPage }).page.heard()),
    }
  }

  test('its IndexedDB holds what a storage promises', async () => {
    const page = await browser.newPage()
    const client = await opened(page)
    const cases = [...storageContract, ...durableStorageContract].map(([name]) => name)
    assert.deepEqual(await client.contract(), cases)
    await page.close()
  })

  test('two devices talk over WebSockets, and go on after the page was loaded again', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    const first = await opened(page)
    const [anna, ben] = [await first.open('anna'), await first.open('ben')]
    assert.notEqual(anna, ben)
    await first.write('anna', 'ben', 'hello from a page')
    await first.write('ben', 'anna', 'hello back')

    const other = await opened(await context.newPage())
    await assert.rejects(other.open('anna'), /another page holds the lock/)

    const again = await opened(page)
    assert.deepEqual([await again.open('anna'), await again.open('ben')], [anna, ben])
    await again.write('anna', 'ben', 'after a reload')
    assert.deepEqual(await again.heard(), ['ben after a reload'])
    await context.close()
  })
})
