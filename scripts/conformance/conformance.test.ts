import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { content } from './content.ts'
import { runConformance } from './report.ts'

const vectors = new URL('../../test/vectors/mimi-content/', import.meta.url).pathname

async function run(...paths: string[]) {
  const lines: string[] = []
  const passed = await runConformance(content, paths, (line) => lines.push(line))
  return { passed, lines, sum: lines.at(-1) }
}

describe('npm run conformance -- content', () => {
  test('passes every example of the drafts', async () => {
    const { passed, lines, sum } = await run(vectors)
    assert.ok(passed, lines.join('\n'))
    assert.equal(sum, '16 files: 16 passed, 0 failed')
    assert.equal(lines.filter((line) => line.startsWith('ok  ')).length, 16)
  })

  test('takes a file by either of its names', async () => {
    assert.ok((await run(join(vectors, 'edit.cbor'))).passed)
    assert.ok((await run(join(vectors, 'edit.edn'))).passed)
  })

  test('says what is wrong with a file, and goes on with the next', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'silta-conformance-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const put = (name: string, bytes: string | Uint8Array) => writeFileSync(join(folder, name), bytes)
    mkdirSync(join(folder, 'deeper'))
    copyFileSync(join(vectors, 'unlike.cbor'), join(folder, 'deeper', 'alone.cbor'))
    copyFileSync(join(vectors, 'unlike.cbor'), join(folder, 'other-id.cbor'))
    copyFileSync(join(vectors, 'edit.edn'), join(folder, 'other-id.edn'))
    put('cut.cbor', readFileSync(join(vectors, 'edit.cbor')).subarray(0, 100))
    put('empty.cbor', '')
    put('large.cbor', new Uint8Array(300_000))
    put(
      'noise.cbor',
      Uint8Array.from({ length: 200 }, (_, i) => (i * 89) & 255),
    )
    put('orphan.edn', 'nothing')
    put('unreadable-id.cbor', readFileSync(join(vectors, 'edit.cbor')))
    put('unreadable-id.edn', "# message ID = h'01'")
    put('passed-over.txt', 'nothing')
    const { passed, lines, sum } = await run(folder, join(folder, 'nowhere'), join(vectors, 'edit.cbor'))
    assert.equal(passed, false)
    assert.equal(sum, '10 files: 2 passed, 8 failed')
    const text = lines.join('\n')
    for (const reason of [
      /other-id\.cbor: 0 passed, 1 failed\n +message id is 013aadbb\w+, expected 014028c0/,
      /cut\.cbor: 0 passed, 1 failed\n +malformed: /,
      /empty\.cbor: 0 passed, 1 failed\n +malformed: /,
      /large\.cbor: 0 passed, 1 failed\n +too-large: /,
      /noise\.cbor: 0 passed, 1 failed\n/,
      /orphan\.edn: 0 passed, 1 failed\n +no \.cbor beside/,
      /unreadable-id\.cbor: 0 passed, 1 failed\n +the message id in the \.edn/,
      /nowhere: 0 passed, 1 failed\n +ENOENT/,
    ]) {
      assert.match(text, reason)
    }
  })

  test('does not pass when nothing was found', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'silta-conformance-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const { passed, lines } = await run(folder)
    assert.equal(passed, false)
    assert.equal(lines[0], 'nothing was found to run')
  })
})
