import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutForeignSentences, withoutSentences } from './brief-errors.ts'

test('an error keeps its code and what else it is given, and loses the sentence', () => {
  assert.equal(withoutSentences(`throw new MlsError('bad', 'it isn\\'t good')`), `throw new MlsError('bad', '')`)
  assert.equal(
    withoutSentences(`new ClientError(\n  'storage',\n  'cannot be read', { cause })`),
    `new ClientError(\n  'storage', '', { cause })`,
  )
  assert.equal(withoutSentences('new MlsError(code, `not ${' + 'name}`)'), "new MlsError(code, '')")
  for (const source of [`new ClientError('closed')`, `new ClientError(code, text)`, `call('a', 'b')`])
    assert.equal(withoutSentences(source), source)
})

test('an error of the language, or of a package, keeps its class', () => {
  assert.equal(withoutSentences(`throw new RangeError('ends too early')`), `throw new RangeError('')`)
  assert.equal(withoutForeignSentences('throw new Error("digest() was called: " + n);'), 'throw new Error();')
  assert.equal(withoutForeignSentences(`new CodecError('no (such) thing', x)`), 'new CodecError()')
  for (const source of ['new TypeError(of(x))', 'class A extends Error {}'])
    assert.equal(withoutForeignSentences(source), source)
})
