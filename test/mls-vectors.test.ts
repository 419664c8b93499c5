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
    const { passed, failed, reasons } = await mls.run(join(folder, name))
    assert.deepEqual({ failed, reasons: [...reasons] }, { failed: 0, reasons: [] })
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
  assert.equal(lines.at(-1), '4 files: 1 passed, 4 failed')
})

test('a case of a ciphersuite that is not built in fails, also beside one that passes', async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'silta-vectors-'))
  t.after(() => rmSync(temporary, { recursive: true }))
  const cases = [
    { cipher_suite: 1, psks: [], psk_secret: '00'.repeat(32) },
    { cipher_suite: 61234, psks: [], psk_secret: '' },
  ]
  writeFileSync(join(temporary, 'suite.json'), JSON.stringify(cases))
  const lines: string[] = []
  assert.equal(await runConformance(mls, [temporary], (line) => lines.push(line)), false)
  assert.equal(lines.at(-1), '1 file: 1 passed, 1 failed')
  assert.match(lines.join('\n'), /no suite of RFC 9420 has the number 61234/)
})
