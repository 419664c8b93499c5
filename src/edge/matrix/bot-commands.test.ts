import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientError } from '../../client/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import type { MatrixUser, Portal, Portals } from '../portals/index.ts'
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
    lookUp: async () => Promise.reject(new ClientError('not-reachable')),
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
  assert.match(await run('start ana'), /"ana.*cannot be reached/)
  const help = await run('help')
  for (const command of ['start', 'status', 'block', 'leave', 'help']) assert.ok(help.includes(command))
  assert.doesNotMatch(help.slice(help.indexOf('formatted_body')), /Test <b>/)
})

test('what is repeated in an answer is bounded, so that the answer can be sent', () => {
  assert.equal(parseCommand(`start ${'x'.repeat(60_000)}`)?.argument.length, 200)
  assert.ok(botWords.status(Array.from({ length: 5_000 }, (_, i) => `${i}. somebody: open.`)).length < 13_000)
})

/** Somebody with two conversations, among those of others; `away` cannot be reached. */
function asker({ away = [], blocked = [] }: { away?: number[]; blocked?: string[] } = {}) {
  const calls: unknown[] = []
  const portal = (id: number, peer: string) =>
    ({
      id,
      account: 'me',
      peer,
      name: peer,
      askedAs: peer,
      state: 'open',
      room: `room of ${peer}`,
    }) as unknown as Portal
  const device = {
    settings: async () => ({ blocked }),
    room: async () => undefined,
    block: async (...what: unknown[]) => void calls.push(what),
    leave: async (room: string) => void calls.push(room),
  }
  const user = { account: 'me' as AccountAddress, device } as unknown as MatrixUser
  const context = {
    host: 'hs.test',
    database: { transaction: (work: (tx: object) => Promise<void>) => work({}) },
    users: { check: async () => {}, byAccount: async () => user },
    portals: {
      byId: async () => undefined,
      ofAccount: async () => [portal(17, 'ana'), portal(40, 'ben')],
      toldOf: async () => new Set(away),
      update: async () => {},
    },
    outbox: { clear: async () => {}, add: async () => {} },
    wake() {},
  }
  const portals = { context } as unknown as Portals
  const lookUp = async () => Promise.reject(new ClientError('not-reachable'))
  const run = (body: string) =>
    runCommand(
      { portals, network: 'Test', user: async () => user, known: async () => user, lookUp },
      parseCommand(body)!,
    )
  return { run, calls }
}

test("a conversation's number is its place among those of whoever asks", async () => {
  const { run, calls } = asker()
  assert.match(String(await run('status')), /\n1\. ana: open\.\n2\. ben: open\.$/)
  assert.match(String(await run('leave 2')), /You left the conversation with ben/)
  assert.deepEqual(calls, ['room of ben'])
  assert.match(String(await run('leave 40')), /no conversation "40"/)
})

test('the status says who cannot be reached', async () => {
  const { run } = asker({ away: [40] })
  assert.match(String(await run('status')), /1\. ana: open\.\n2\. ben: open\. Cannot be reached/)
})

test('who was not blocked is not unblocked', async () => {
  const { run, calls } = asker({ blocked: ['ben'] })
  assert.equal(await run('unblock ana'), 'ana was not blocked.')
  assert.deepEqual(calls, [])
  assert.match(String(await run('unblock ben')), /is not blocked any more/)
  assert.deepEqual(calls, [['ben', false]])
})
