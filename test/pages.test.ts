// The pages that browsers are given: how they are built, with what headers they come, and how a stranger verifies them.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { buildPages } from '../scripts/pages/build.ts'
import { run } from '../src/cli/index.ts'
import { toBase64Url } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { openPages, PagesError, verifyPages } from '../src/pages/index.ts'
import { chromiumMissing, launchChromium } from './support/chromium.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-pages-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const keys = nodeCrypto.generateKeyPair()
const options = { crypto: nodeCrypto, provider: 'chat.example', providerKey: keys.privateKey, trial: true }
const anId = () => toBase64Url(nodeCrypto.randomBytes(16))

const template = (name: string) => `<!doctype html><html lang="en"><title>${name}</title>
<link rel="icon" href="./icon.svg"><link rel="stylesheet" href="./page.css"><script type="module" src="./main.ts"></script>
<p id="said">nothing yet</p><script>document.title = 'inline'</script></html>`
const program = `import { word } from './word.ts'
const said = document.querySelector('#said')!
said.textContent = word
try { said.innerHTML = '<b>markup</b>' } catch { said.textContent += ', and no markup' }
`

/** A checkout with two small pages. */
function checkout(name: string): string {
  const root = join(folder, name)
  for (const page of ['guest', 'app']) {
    const web = join(root, 'src/web', page)
    mkdirSync(web, { recursive: true })
    writeFileSync(join(web, 'index.html'), template(page))
    writeFileSync(join(web, 'main.ts'), program)
    writeFileSync(join(web, 'word.ts'), `export const word: string = '${page} runs'`)
    writeFileSync(join(web, 'page.css'), 'p { color: rgb(1, 2, 3) }')
    writeFileSync(join(web, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>')
  }
  writeFileSync(join(root, 'package.json'), '{ "version": "1.2.3" }')
  return root
}

const directory = join(folder, 'built')
before(() => buildPages(checkout('one'), directory))

const contents = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => `${file.slice(root.length)} ${readFileSync(file, 'base64')}`)

describe('the pages', () => {
  test('are the same bytes whoever builds them and where', async () => {
    const again = join(folder, 'again')
    const { pages } = await buildPages(checkout('elsewhere/two'), again)
    assert.deepEqual(pages, ['app', 'guest'])
    assert.deepEqual(contents(again), contents(directory))
  })

  test('are the same for every link, and come with everything forbidden that they do not need', async () => {
    const app = openPages({ ...options, directory })!
    const one = await app.request(`/g/${anId()}`)
    const html = await one.text()
    assert.equal(html, await (await app.request('/g/whatever?a=b')).text())
    assert.match(
      html,
      /<script type="module" src="\/assets\/guest-[\w-]{12}\.js" integrity="sha384-[^"]+" crossorigin>/,
    )
    assert.match(html, /<link rel="stylesheet" href="\/assets\/guest-[\w-]{12}\.css" integrity="sha384-/)
    const [, integrity] = /\.js" integrity="([^"]+)"/.exec(html) ?? []
    const policy = one.headers.get('content-security-policy') ?? ''
    for (const part of ["default-src 'none'", `script-src '${integrity}';`, "trusted-types 'none'", "base-uri 'none'"])
      assert.ok(policy.includes(part), `${part} in ${policy}`)
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
    const headers = (name: string) => one.headers.get(name)
    assert.deepEqual(
      ['cache-control', 'referrer-policy', 'cross-origin-opener-policy', 'cross-origin-resource-policy'].map(headers),
      ['no-store', 'no-referrer', 'same-origin', 'same-origin'],
    )
    assert.match(headers('x-robots-tag') ?? '', /noindex/)
    assert.match(headers('permissions-policy') ?? '', /camera=\(\).*microphone=\(\)/)
    assert.match((await app.request('/app')).headers.get('permissions-policy') ?? '', /camera=\(self\)/)
    const head = await app.request(`/g/${anId()}`, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    assert.equal((await app.request(`/g/${anId()}`, { method: 'POST' })).status, 404)
  })

  test('load what never changes, compressed', async () => {
    const app = openPages({ ...options, directory })!
    const [, script] = /src="([^"]+)"/.exec(await (await app.request(`/g/${anId()}`)).text()) ?? []
    const answer = await app.request(script!, { headers: { 'accept-encoding': 'gzip, br' } })
    assert.deepEqual(
      [answer.status, answer.headers.get('content-encoding'), answer.headers.get('content-type')],
      [200, 'br', 'text/javascript; charset=utf-8'],
    )
    assert.match(answer.headers.get('cache-control') ?? '', /immutable/)
    for (const path of ['/assets/none.js', '/assets/../pages.json', '/assets/%2e%2e%2fpages.json'])
      assert.equal((await app.request(path)).status, 404)
  })

  test('for trying are served only where anybody may make an account', async () => {
    const app = openPages({ ...options, trial: false, directory })!
    assert.equal((await app.request('/app')).status, 404)
    const manifest = await (await app.request('/g/manifest.json')).json()
    assert.deepEqual(Object.keys((manifest as { pages: object }).pages), ['/g/'])
  })

  test('are not served when they are not what was built, and not at all when none were', async () => {
    assert.equal(openPages({ ...options, directory: join(folder, 'nowhere') }), undefined)
    const changed = join(folder, 'changed')
    await buildPages(checkout('three'), changed)
    writeFileSync(join(changed, 'guest.html'), template('another'))
    assert.throws(() => openPages({ ...options, directory: changed }), PagesError)
  })
})

describe('silta pages verify', () => {
  /** A provider whose answers are changed on the way to whoever asks. */
  async function serving(change: (path: string, answer: Response) => Promise<Response> | Response) {
    const app = openPages({ ...options, directory })!
    const server = createServer(
      getRequestListener(async (request) => change(new URL(request.url).pathname, await app.request(request.url))),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const close = async () => {
      server.closeAllConnections()
      server.close()
    }
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, [Symbol.asyncDispose]: close }
  }
  async function verify(url: string, ...more: string[]) {
    let printed = ''
    const out = (text: string) => {
      printed += text
    }
    const key = toBase64Url(keys.publicKey)
    const code = await run(['pages', 'verify', url, '--key', key, ...more], { env: {}, out, err: out })
    return { code, printed }
  }

  test('finds that all is as signed, and as built from the sources', async () => {
    await using provider = await serving((_, answer) => answer)
    const { code, printed } = await verify(provider.url, '--build', directory)
    assert.equal(code, 0, printed)
    assert.match(printed, /7 files/)
  })

  test('finds a changed script, a policy that lets more through, and a build that is not this one', async () => {
    await using script = await serving(async (path, answer) =>
      path.endsWith('.js') ? new Response(`${await answer.text()}//`, { headers: answer.headers }) : answer,
    )
    assert.match((await verify(script.url)).printed, /\.js is not what the manifest says/)
    await using policy = await serving((path, answer) => {
      if (path.startsWith('/g/')) answer.headers.set('content-security-policy', "default-src 'self'")
      return answer
    })
    assert.match((await verify(policy.url)).printed, /another Content-Security-Policy/)
    const other = join(folder, 'other')
    const sources = checkout('four')
    writeFileSync(join(sources, 'src/web/guest/word.ts'), "export const word = 'something else'")
    await buildPages(sources, other)
    await using provider = await serving((_, answer) => answer)
    const { code, printed } = await verify(provider.url, '--build', other)
    assert.equal(code, 1)
    assert.match(printed, /not that of the build/)
  })

  test('finds a manifest that the provider has not signed', async () => {
    await using provider = await serving(async (path, answer) =>
      path === '/g/manifest.json' ? new Response((await answer.text()).replace('1.2.3', '1.2.4')) : answer,
    )
    const { code, printed } = await verify(provider.url)
    assert.deepEqual([code, printed], [1, 'the manifest is not signed by this key\n'])
  })
})

test('silta pages verify reads no more of an answer than any page has, and waits for none for ever', async () => {
  let sent = 0
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      sent += 65_536
      controller.enqueue(new Uint8Array(65_536))
    },
  })
  const app = openPages({ ...options, directory })!
  const server = createServer(
    getRequestListener((request) => {
      const { pathname } = new URL(request.url)
      return pathname.endsWith('.js') ? new Response(endless) : app.request(request.url)
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const verdict = () => verifyPages(nodeCrypto, { base: url, key: keys.publicKey, answerMs: 60_000 })
  assert.match((await verdict()).problems.join(), /\.js is longer than 4194304 bytes/)
  assert.ok(sent < 64 * 1024 * 1024)
  await assert.rejects(verifyPages(nodeCrypto, { base: url, key: keys.publicKey, answerMs: 0 }), {
    name: 'TimeoutError',
  })
  server.closeAllConnections()
  server.close()
})

describe('in Chromium', { skip: chromiumMissing() }, () => {
  test('the built script and style run, an inline script and markup from text do not', async () => {
    const app = openPages({ ...options, directory })!
    const server = createServer(getRequestListener(app.fetch))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const browser = await launchChromium()
    try {
      const page = await browser.newPage()
      const complaints: string[] = []
      page.on('console', (message) => complaints.push(message.text()))
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/g/${anId()}#secret`)
      await page.waitForFunction(() => document.querySelector('#said')?.textContent !== 'nothing yet')
      assert.equal(await page.textContent('#said'), 'guest runs, and no markup')
      assert.equal(await page.title(), 'guest')
      assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('p')!).color), 'rgb(1, 2, 3)')
      // No other complaint: every header is one that the browser knows.
      assert.deepEqual(
        complaints.filter((text) => !/inline script|TrustedHTML/.test(text)),
        [],
      )
    } finally {
      await browser.close()
      server.closeAllConnections()
      server.close()
    }
  })
})
