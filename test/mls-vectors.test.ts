// The published MLS vectors that the project carries, through the same code as `npm run conformance -- mls`.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mls } from '../scripts/conformance/mls.ts'
import { runConformance } from '../scripts/conformance/report.ts'

const folder = join(import.meta.dirname, 'vectors/mls')

for (const name of readdirSync(folder).filter((each) => each.endsWith('.json'))) {
  test(`${name} passes`, async () => {
    const { passed, failed, skipped, reasons } = await mls.run(join(folder, name))
    assert.deepEqual({ failed, skipped, reasons: [...reasons] }, { failed: 0, skipped: 0, reasons: [] })
    assert.ok(passed > 0)
  })
}

test('a wrong vector, an unknown format and a file that is not JSON fail, and the exit code says so', async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'silta-vectors-'))
  t.after(() => rmSync(temporary, { recursive: true }))
  const wrong = [
    { cipher_suite: 1, psks: [], psk_secret: '00'.repeat(32) },
    { cipher_suite: 1, psks: [], psk_secret: '11' },
  ]
  writeFileSync(join(temporary, 'wrong.json'), JSON.stringify(wrong))
  writeFileSync(join(temporary, 'unknown.json'), '[{"a":1}]')
  writeFileSync(join(temporary, 'text.json'), 'hello')
  writeFileSync(join(temporary, 'suite.json'), '[{"cipher_suite":61234,"psks":[],"psk_secret":""}]')
  const lines: string[] = []
  assert.equal(await runConformance(mls, [temporary], (line) => lines.push(line)), false)
  assert.equal(lines.at(-1), '4 files: 1 passed, 3 failed, 1 skipped')
})

test('nothing but skipped cases is no success', async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'silta-vectors-'))
  t.after(() => rmSync(temporary, { recursive: true }))
  writeFileSync(join(temporary, 'suite.json'), '[{"cipher_suite":61234,"psks":[],"psk_secret":""}]')
  assert.equal(await runConformance(mls, [temporary], () => {}), false)
})
