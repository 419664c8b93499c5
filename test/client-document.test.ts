/** The SDK's paper: its examples, from above to below, are a program that runs. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { startMessengerService } from './support/messenger-service.ts'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'silta-examples-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A program of a few seconds, on a machine that has much else to do. */
const patienceMs = 120_000

test('the examples of docs/client.md are a program that runs', async () => {
  await using service = await startMessengerService()
  const paper = readFileSync(join(root, 'docs/client.md'), 'utf8')
  const examples = [...paper.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code)
  assert.ok(examples.length >= 5)
  const program = join(folder, 'main.ts')
  const place = { "from '../src/": `from '${root}/src/`, '127.0.0.1:8480': new URL(service.url).host }
  writeFileSync(
    program,
    Object.entries(place).reduce((code, [from, to]) => code.replaceAll(from, to), examples.join('\n')),
  )
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'pipe'], timeout: patienceMs })
  const missing = new Set([
    'Ana: hello',
    'Ana: @Ben, look',
    'Ben is called',
    // No bridge is there; that she was not opted in would be another code.
    'Matrix: unavailable',
    'Mia: is it still free?',
    'all is done; Ctrl-C ends it',
  ])
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  for await (const line of createInterface({ input: child.stdout })) {
    missing.delete(line)
    if (missing.size === 0) child.kill()
  }
  assert.deepEqual([[...missing], errors], [[], ''])
})
