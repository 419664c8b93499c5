import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutSentences } from './brief-errors.ts'

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
