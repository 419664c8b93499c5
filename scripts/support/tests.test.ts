import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { root } from './command.ts'
import type { Totals } from './tests.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-tests-'))
after(() => rmSync(folder, { recursive: true }))
const nodeTest = "import { describe, it, test } from 'node:test'\nimport assert from 'node:assert'\n"

let totals: Totals
let printed: string[]
before(() => {
  const sources = {
    good: `${nodeTest}console.log('chatter'); describe('a', () => { it('b', () => {}); it('c', () => {}) })`,
    bad: `${nodeTest}console.log('a clue'); describe('a', () => { it('fails', () => { assert.equal(1, 2) }) })`,
    skipping: `${nodeTest}describe('x', { skip: 'no cargo here' }, () => { it('y', () => {}) })
      test('z', (t) => t.skip('later')); test('w', { todo: true }, () => { throw new Error('not yet') })`,
    broken: "throw new Error('it does not load')",
    empty: '',
    leaky: `${nodeTest}test('late', async () => { setTimeout(() => { throw new Error('too late') }, 20) })
      test('waits', () => new Promise((done) => setTimeout(done, 60)))`,
  }
  const files = Object.entries(sources).map(([name, source]) => {
    const file = join(folder, `${name}.test.ts`)
    writeFileSync(file, source)
    return relative(root, file)
  })
  // In a process of its own: a test file cannot run test files.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const script = `
import { runTests } from ${JSON.stringify(new URL('tests.ts', import.meta.url).href)}
    const printed = []
    const totals = await runTests(${JSON.stringify(files)}, { concurrency: 2, print: (line) => printed.push(line) })
    console.log(JSON.stringify({ totals, printed }))`
  const runner = join(folder, 'runner.mts')
  writeFileSync(runner, script)
  const output = execFileSync(process.execPath, [runner], { env, encoding: 'utf8' })
  ;({ totals, printed } = JSON.parse(output))
})

const failed = () => totals.failures.map(({ file, name }) => `${file.split('/').at(-1)}: ${name}`).sort()

describe('running test files', () => {
  it('counts tests, not the suites that hold them', () => {
    assert.equal(totals.passed, 4)
    assert.equal(totals.files.length, 6)
  })

  it('counts a file that does not load, that ends badly, or that holds no test, as failed', () => {
    assert.deepEqual(failed(), [
      'bad.test.ts: fails',
      'broken.test.ts: the file',
      'empty.test.ts: the file',
      'leaky.test.ts: the file',
    ])
  })

  it('names what was skipped, with the reason', () => {
    const skips = totals.skips.map(({ name, reason }) => `${name}: ${reason}`)
    assert.deepEqual(skips.sort(), ['w: no reason given', 'x: no cargo here', 'z: later'])
  })

  it('prints one line for each file, and the output of those that failed only', () => {
    const text = printed.join('\n')
    assert.equal(printed.filter((line) => /^(ok {4}|FAILED) {2}/.test(line)).length, 6)
    assert.match(text, /1 == 2/)
    assert.match(text, /\| a clue/)
    assert.match(text, /it does not load/)
    assert.match(text, /too late/)
    assert.doesNotMatch(text, /chatter|\(node:async_hooks/)
  })
})
