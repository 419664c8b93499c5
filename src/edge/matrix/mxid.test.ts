import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMxid } from './mxid.ts'

test('a Matrix id is taken in one form, and nothing else is', () => {
  for (const [given, wanted] of [
    ['@alice:example.org', '@alice:example.org'],
    ['@Alice_9=/+-:Example.ORG', '@Alice_9=/+-:Example.ORG'],
    ['@a:localhost:8448', '@a:localhost:8448'],
    ['@a:[::1]:8448', '@a:[::1]:8448'],
    ['alice:example.org', undefined],
    ['@alice', undefined],
    ['@:example.org', undefined],
    ['@a b:example.org', undefined],
    ['@a:exa mple.org', undefined],
    ['@a:example.org\n', undefined],
    ['@ä:example.org', undefined],
    [`@${'a'.repeat(250)}:example.org`, undefined],
    ['', undefined],
  ] as const)
    assert.equal(parseMxid(given), wanted, given)
})
