// A device is linked by the camera: what the new device shows is held before it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { encode } from 'uqr'
import { chromiumMissing, launchChromium } from './support/chromium.ts'
import { guestDoes, webWorld } from './support/web-world.ts'

const { button, field } = guestDoes
const folder = mkdtempSync(join(tmpdir(), 'silta-camera-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const [width, height] = [640, 480]

/** What the camera sees (YUV4MPEG2): a code in the middle of white, or nothing. */
function film(file: string, modules: boolean[][]): void {
  const light = Buffer.alloc(width * height, 255)
  const scale = Math.floor(400 / Math.max(modules.length, 1))
  const [left, top] = [width, height].map((side) => (side - scale * modules.length) >> 1) as [number, number]
  for (const [y, row] of modules.entries())
    for (const [x, dark] of row.entries())
      for (let line = 0; dark && line < scale; line++) {
        const at = (top + y * scale + line) * width + left + x * scale
        light.fill(0, at, at + scale)
      }
  const frame = Buffer.concat([Buffer.from('FRAME\n'), light, Buffer.alloc((width * height) / 2, 128)])
  const header = Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`)
  writeFileSync(file, Buffer.concat([header, frame, frame, frame]))
}

test('a new device is linked by the code that it shows, through the camera', { skip: chromiumMissing() }, async () => {
  const seen = join(folder, 'camera.y4m')
  film(seen, [])
  const camera = ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${seen}`]
  const browser = await launchChromium(camera)
  const world = await webWorld({
    browser,
    app: (app) =>
      app.post('/trial/token', async (c) => {
        const { name } = (await c.req.json()) as { name: string }
        return c.json({ token: JSON.stringify({ subject: name, kind: 'person' }) })
      }),
  })
  try {
    const ada = await world.visitor({ permissions: ['camera'] })
    await ada.page.goto(`${world.url}/app`)
    await field(ada.page, 'Name').fill('ada')
    await button(ada.page, 'Create account').click()
    await button(ada.page, 'New chat').waitFor()
    const tablet = await world.visitor()
    await tablet.page.goto(`${world.url}/app`)
    await button(tablet.page, 'Link to an account that you have').click()
    film(seen, encode(await field(tablet.page, 'The code as text').inputValue(), { ecc: 'M', border: 0 }).data)
    await button(ada.page, 'Settings').click()
    await button(ada.page, 'Scan with the camera').click()
    await ada.page.getByText('The device is linked').waitFor()
    await button(tablet.page, 'New chat').waitFor()
    assert.deepEqual([ada.faults, tablet.faults], [[], []])
  } finally {
    await world.close()
    await browser.close()
  }
})
