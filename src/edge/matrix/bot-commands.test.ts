import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Portals } from '../portals/index.ts'
import { parseCommand, runCommand } from './bot-commands.ts'
import { botWords } from './bot-words.ts'

test('commands are read as people write them', () => {
  for (const [body, wanted] of [
    ['help', { name: 'help', argument: '', marked: false }],
    ['START @ana', { name: 'start', argument: '@ana', marked: false }],
    ['!silta Start ana', { name: 'start', argument: 'ana', marked: true }],
    ['!status', { name: 'status', argument: '', marked: true }],
    ['  leave: 3 \nmore lines', { name: 'leave', argument: '3', marked: false }],
    ['?', { name: '?', argument: '', marked: false }],
    ['', undefined],
    ['123', undefined],
    ['https://example.org', undefined],
  ] as const)
    assert.deepEqual(parseCommand(body), wanted, body)
})

test('what is not understood, or incomplete, is answered with what to do', async () => {
  const nobody = {
    portals: {} as Portals,
    network: 'Test <b>',
    user: () => Promise.reject(new Error('not needed')),
    known: async () => undefined,
  }
  const run = async (body: string) => JSON.stringify(await runCommand(nobody, parseCommand(body)!))
  assert.match(await run('dance'), /I do not know .*dance.*help/)
  assert.match(await run('constructor'), /I do not know/)
  assert.match(await run('start'), /Whom\?/)
  assert.match(await run('block'), /Whom\?/)
  assert.match(await run('leave'), /Whom\?/)
  // Who only asks, or has no conversation, needs no account for it.
  assert.match(await run('status'), /no conversations/)
  assert.match(await run('leave ana'), /no conversation .*ana/)
  const help = await run('help')
  for (const command of ['start', 'status', 'block', 'leave', 'help']) assert.ok(help.includes(command))
  assert.doesNotMatch(help.slice(help.indexOf('formatted_body')), /Test <b>/)
})

test('what is repeated in an answer is bounded, so that the answer can be sent', () => {
  assert.equal(parseCommand(`start ${'x'.repeat(60_000)}`)?.argument.length, 200)
  assert.ok(botWords.status(Array.from({ length: 5_000 }, (_, i) => `${i}. somebody: open.`)).length < 13_000)
})
