import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { helpText, parseCommand, parseTarget } from './commands.ts'

describe('a line that was typed', () => {
  const lines: [string, object][] = [
    ['hello', { name: 'say', text: 'hello' }],
    ['//shrug', { name: 'say', text: '/shrug' }],
    ['  ', { name: 'nothing' }],
    ['/to @bob:example.org', { name: 'to', whom: '@bob:example.org' }],
    ['/reply 3 yes, both', { name: 'reply', number: 3, text: 'yes, both' }],
    ['/accept', { name: 'accept', room: undefined }],
    ['/accept 2', { name: 'accept', room: 2 }],
    ['/reach on', { name: 'reach', network: 'matrix', on: true }],
    ['/reach off xmpp', { name: 'reach', network: 'xmpp', on: false }],
    ['/reach', { name: 'reach', network: 'matrix', on: undefined }],
    ['/who-may-write nobody', { name: 'who-may-write', policy: 'nobody' }],
    ['/link-confirm abc', { name: 'link-confirm', code: 'abc' }],
    ['/group Friends: ben, @Eve', { name: 'group', title: 'Friends', members: ['ben', '@Eve'] }],
    ['/group Just me', { name: 'group', title: 'Just me', members: [] }],
    ['/role ben admin', { name: 'role', whom: 'ben', role: 'admin' }],
    ['/invite', { name: 'invite', choices: {} }],
    [
      '/invite pin:4711 many the flat',
      { name: 'invite', choices: { pin: '4711', singleUse: false, label: 'the flat' } },
    ],
    ['/invite ask', { name: 'invite', choices: { approval: true } }],
    [
      '/invite for:3d idle:90m for:ever',
      { name: 'invite', choices: { expiresInMs: 259_200_000, idleMs: 5_400_000, label: 'for:ever' } },
    ],
    ['/revoke 2', { name: 'revoke', number: 2 }],
    ['/reissue 2 pin:12', { name: 'reissue', number: 2, choices: { pin: '12' } }],
    ['/extend', { name: 'extend', number: undefined }],
    ['/extend 3', { name: 'extend', number: 3 }],
    ['/approve', { name: 'approve' }],
    ['/quit', { name: 'quit' }],
  ]
  for (const [line, command] of lines) test(line, () => assert.deepEqual(parseCommand(line), command))

  for (const line of [
    '/reply 3',
    '/reply x y',
    '/to',
    '/accept me',
    '/reach maybe',
    '/who-may-write all',
    '/role ben king',
    '/revoke it',
    '/reissue',
    '/extend it',
  ]) {
    test(`${line} is answered with the right form`, () => {
      const command = parseCommand(line)
      assert.equal(command.name, 'mistake')
      assert.match((command as { explanation: string }).explanation, new RegExp(line.split(' ')[0] ?? ''))
    })
  }
})

test('whom a person means', () => {
  assert.deepEqual(parseTarget('@bob:example.org'), { network: 'matrix', value: '@bob:example.org' })
  assert.deepEqual(parseTarget('@Bob'), { handle: 'bob' })
  assert.deepEqual(parseTarget('bob'), { handle: 'bob' })
  const address = 'mimi://a.example/u/AAAAAAAAAAAAAAAAAAAAAA'
  assert.deepEqual(parseTarget(address), { address })
  assert.throws(() => parseTarget('mimi://a.example/u/x'), /not a whole address/)
})

test('the own address can be asked for', () => {
  assert.deepEqual(parseCommand('/address'), { name: 'address' })
  assert.ok(helpText.some((line) => line.includes('/address')))
})
