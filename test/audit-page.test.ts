// The auditors' page in Chromium: what it shows was verified in it, and what does not hold it says.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { addAuditor, openCredentials, watchAuditors } from '../src/audit/credentials.ts'
import { decodeProof, encodeVerifier, verifyProof } from '../src/audit/log/index.ts'
import { readFromFolder } from '../src/audit/place.ts'
import { indexSome } from '../src/audit/query/indexer.ts'
import { queryRoutes } from '../src/audit/query/routes.ts'
import { logRoutes } from '../src/audit/routes.ts'
import { testSigner } from '../src/audit/testing/log.ts'
import { testSequencer } from '../src/audit/testing/world.ts'
import { toBase64Url, utf8 } from '../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { freshDatabase, type TestDatabase } from '../src/store/testing.ts'
import { chromiumMissing } from './support/chromium.ts'
import { type WebWorld, webWorld } from './support/web-world.ts'

const hour = 3_600_000
const { verifier } = testSigner
const key = encodeVerifier(verifier)
const pseudonym = (n: number) => toBase64Url(crypto.sha256(utf8(`subject ${n}`)).subarray(0, 16))

/** Some hundred entries: three weeks of figures of three providers, and what people did meanwhile. */
function someEvents(): Record<string, unknown>[] {
  const now = Math.floor(Date.now() / hour) * hour
  const events: Record<string, unknown>[] = []
  for (let at = now - 21 * 24 * hour; at < now; at += 6 * hour) {
    const time = new Date(at).toISOString()
    const n = events.length
    events.push({ type: 'network.opted-in', account: pseudonym(n % 7), network: 'matrix', time })
    if (n % 5 === 0)
      events.push({
        type: 'refusals.counted',
        operation: 'lookUp',
        code: 'rate-limited',
        count: n,
        since: time,
        until: time,
        time,
      })
    const spread = 1 + 0.4 * Math.sin(at / (50 * hour))
    for (const [provider, slow] of [
      ['own', 18],
      ['matrix', 41],
      ['rival.example', 36],
    ] as const) {
      const steps = [slow, slow * 2, slow * 5].map((ms, i) => ({
        ms: Math.round(ms * spread),
        count: [700, 250, 50][i],
      }))
      events.push({
        ...{ type: 'parity.measured', provider, accepted: 900 + n, delivered: 1000, time },
        refused: [{ code: 'rate-limited', count: n % 9 }],
        latency: { measured: 1000, p50: slow, p90: slow * 2, p99: slow * 5, steps },
        ...{ since: new Date(at - hour).toISOString(), until: time },
      })
    }
  }
  const asked = (provider: string, daysAgo: number) => {
    const received = new Date(now - daysAgo * 24 * hour).toISOString()
    const due = new Date(now + (91 - daysAgo) * 24 * hour).toISOString()
    events.push({ type: 'interop.requested', request: pseudonym(daysAgo), provider, received, due, time: received })
  }
  asked('rival.example', 60)
  asked('slow.example', 120)
  events.push({
    ...{ type: 'interop.answered', request: pseudonym(60), provider: 'rival.example', outcome: 'operational' },
    time: new Date(now - 20 * 24 * hour).toISOString(),
  })
  return events
}

describe('the auditors’ page', { skip: chromiumMissing() }, () => {
  let world: WebWorld
  let database: TestDatabase
  const home = mkdtempSync(join(tmpdir(), 'silta-audit-page-'))
  const folder = join(home, 'audit')
  const file = join(home, 'auditors.json')
  const { credential } = addAuditor(crypto, file, { forMs: hour })
  /** What the service answers in the place of what is published. */
  const lies = new Map<string, Uint8Array>()
  const read = async (path: string) => lies.get(path) ?? readFromFolder(folder, path)

  const append = async (events: readonly Record<string, unknown>[]) => {
    const { sequencer, faults } = testSequencer(database, folder)
    for (const event of events) {
      const entry = { ...event, id: toBase64Url(crypto.randomBytes(16)), version: 1 }
      await database.query('insert into audit.entry (id, at, body) values ($1, $2, $3)', [
        ...[entry.id, Date.parse(String(event.time))],
        utf8(JSON.stringify(entry)),
      ])
    }
    await sequencer.close()
    assert.deepEqual(faults, [])
    await indexSome(database, verifier.name)
  }

  before(async () => {
    database = await freshDatabase()
    await append(someEvents())
    const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
    world = await webWorld({
      app(app) {
        app.route('/', queryRoutes({ database, crypto, verifier, read, credentials }))
        app.route('/', logRoutes({ read, credentials }))
      },
    })
  })
  after(async () => {
    await world.close()
    await database.close()
    rmSync(home, { recursive: true, force: true })
  })

  const signIn = async (page: Page, as = credential) => {
    await page.goto(`${world.url}/audit`)
    await page.getByLabel('Credential').fill(as)
    await page.getByLabel('Key of the log').fill(key)
    await page.getByRole('button', { name: 'Open the log' }).click()
  }
  const entries = (page: Page) => page.locator('.entry')

  test('shows entries that it has proven, by filter, and hands out their proofs', async () => {
    const { page, faults, context } = await world.visitor({ acceptDownloads: true })
    await signIn(page)
    await page.getByText(/A signed checkpoint over [\d,]+ entr(y|ies), verified here/).waitFor()
    await page.getByText('This browser keeps the checkpoint').waitFor()
    await entries(page).nth(49).waitFor()
    await page.getByLabel('Event').selectOption('refusals.counted')
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await page.getByText('rate-limited').first().waitFor()
    assert.deepEqual([...new Set(await page.locator('.entry strong').allTextContents())], ['refusals.counted'])

    await page.getByLabel('Event').selectOption('network.opted-in')
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await page.locator('.entry dd button').first().click()
    const count = someEvents().length
    await entries(page).first().locator('summary').click()
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      entries(page).first().getByRole('button', { name: 'Save the proof' }).click(),
    ])
    const proof = decodeProof(new Uint8Array(readFileSync(await saved.path())))
    assert.equal(verifyProof(crypto, proof, verifier).size, count)
    const [csv] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save as CSV' }).click(),
    ])
    assert.match(readFileSync(await csv.path(), 'utf8'), /^log,index,.*\r\n.*network\.opted-in/)

    // A reload needs nothing typed; another tab does, and a log that goes on is seen to.
    await append([{ type: 'account.endorsed', account: pseudonym(1), time: new Date().toISOString() }])
    await page.reload()
    await page.getByText(`It continues the one over ${count}`).waitFor()
    await page.getByText('account.endorsed', { exact: true }).nth(1).waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.reload()
    assert.equal(await page.getByLabel('Credential').inputValue(), '')
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), [])
    assert.equal(await page.evaluate((secret) => JSON.stringify(localStorage).includes(secret), credential), false)
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('shows providers side by side, in a chart and in a table', async () => {
    const { page, faults, context } = await world.visitor()
    await signIn(page)
    await page.getByRole('link', { name: 'Parity' }).click()
    const chart = page.getByRole('img', { name: 'Latency, 9 of 10, by day' })
    await chart.waitFor()
    assert.deepEqual(await page.locator('.legend bdi').allTextContents(), ['Own users', 'matrix', 'rival.example'])
    const clock = page.getByRole('region', { name: 'Requests and their clock' })
    assert.deepEqual(
      (await clock.getByRole('row').allTextContents())
        .slice(1)
        .map((text) => text.replace(/[A-Z][a-z]{2} \d+, \d{4}/g, ' ')),
      ['rival.example  operational40', 'slow.example  open120, too late'],
    )
    const row = page
      .getByRole('region', { name: 'All figures' })
      .getByRole('row')
      .filter({ hasText: 'rival.example' })
      .nth(1)
    assert.match((await row.textContent())!, /4,000/)
    // Whoever comes back to this view finds it, and the entries in the other.
    await page.reload()
    await chart.waitFor()
    await page.getByRole('link', { name: 'Events' }).click()
    await entries(page).first().waitFor()
    await page.getByRole('link', { name: 'Parity' }).click()
    await page.getByRole('combobox', { name: 'Figure' }).selectOption('Refused, share')
    await page.getByRole('img', { name: 'Refused, share, by day' }).waitFor()
    assert.deepEqual(faults, [])
    await context.close()
  })

  test('says what does not hold, and shows nothing of it', async () => {
    const { page, context } = await world.visitor({ acceptDownloads: true })
    await signIn(page, `silta_auditor_${'A'.repeat(43)}`)
    await page.getByText('does not know this credential').waitFor()
    await signIn(page)
    await entries(page).first().waitFor()

    // An entry that is not the one in the tree.
    const [newest] = await database.query<{ place: number; body: Uint8Array }>(
      'select place, body from audit.entry order by place desc limit 1',
    )
    const change = (body: Uint8Array) =>
      database.query('update audit.entry set body = $2 where place = $1', [newest!.place, body])
    await change(utf8(Buffer.from(newest!.body).toString().replace('account.endorsed', 'account.created')))
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await page.getByText('This log does not hold').waitFor()
    assert.equal(await entries(page).count(), 0)
    await change(newest!.body)
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await entries(page).first().waitFor()

    // A log that was written anew, signed by the same key.
    await using other = await freshDatabase()
    const place = join(home, 'other')
    const { sequencer } = testSequencer(other, place)
    for (let i = 0; i < 600; i++)
      await other.query('insert into audit.entry (id, at, body) values ($1, 0, $2)', [
        `${i}`,
        utf8(`{"type":"a","n":${i}}`),
      ])
    await sequencer.close()
    const files = ['checkpoint', 'tile/0/000', 'tile/0/001', 'tile/0/002.p/88', 'tile/1/000.p/2']
    for (const path of files) lies.set(path, new Uint8Array(readFileSync(join(place, path))))
    await page.reload()
    await page.getByText('it was rewritten').waitFor()
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save both checkpoints' }).click(),
    ])
    assert.equal(readFileSync(await saved.path(), 'utf8').match(/^bridge\.example\/audit$/gm)?.length, 2)
    // What was kept stays: the next visit sees it too.
    await page.reload()
    await page.getByText('it was rewritten').waitFor()
    lies.clear()
    await page.reload()
    await page.getByText(/A signed checkpoint over [\d,]+ entr(y|ies), verified here/).waitFor()
    await context.close()
  })

  test('can be used by everybody', async () => {
    const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
    const shots = process.env.SILTA_SCREENSHOTS
    for (const [name, viewport, colorScheme, rtl] of [
      ['phone', { width: 360, height: 740 }, 'light', false],
      ['desktop-dark', { width: 1440, height: 900 }, 'dark', false],
      ['tablet-rtl', { width: 820, height: 1180 }, 'light', true],
    ] as const) {
      const { page, context } = await world.visitor({ viewport, colorScheme, bypassCSP: true })
      const check = async (view: string) => {
        if (rtl) await page.evaluate(() => document.documentElement.setAttribute('dir', 'rtl'))
        if (shots)
          writeFileSync(join(shots, `${name}-${view}.png`), await page.screenshot({ fullPage: view !== 'events' }))
        await page.evaluate(axe)
        const found = await page.evaluate(async () => {
          const { axe } = globalThis as unknown as {
            axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
          }
          return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
        })
        assert.deepEqual(found, [], `${name} ${view}`)
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        assert.ok(wide <= 0, `${name} ${view} is ${wide} pixels too wide`)
      }
      await page.goto(`${world.url}/audit`)
      await page.getByLabel('Credential').waitFor()
      await check('open')
      await signIn(page)
      await entries(page).first().waitFor()
      await entries(page).first().locator('summary').click()
      await check('events')
      await page.getByRole('link', { name: 'Parity' }).click()
      await page.getByRole('table').nth(1).waitFor()
      await check('parity')
      await context.close()
    }
  })
})
