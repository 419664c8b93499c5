import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openLog } from './index.ts'

function recording(level?: 'debug') {
  const lines: string[] = []
  const log = openLog({ level, write: (line) => lines.push(line) })
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> }
}

test('what is on the list is written, with time and level', () => {
  const { log, last } = recording()
  log.child({ module: 'hub' }).warn({ code: 'wrong-epoch', count: 3, retry: true }, 'a commit was refused')
  const { time, ...rest } = last()
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/)
  assert.deepEqual(rest, {
    level: 'warn',
    module: 'hub',
    code: 'wrong-epoch',
    count: 3,
    retry: true,
    msg: 'a commit was refused',
  })
})

test('what is not on the list is not written, at any depth', () => {
  const { log, lines } = recording()
  const canary = { user: 'canary', text: 'canary', body: { deep: 'canary' }, token: 'canary', headers: { canary: 1 } }
  log.info(canary, 'something happened')
  log.info(
    { code: { canary: 'canary' }, count: 'canary', retry: 'canary', error: 'canary', ...canary },
    'something happened',
  )
  log.child(canary).error(canary, 'something happened')
  assert.equal(lines.length, 3)
  assert.doesNotMatch(lines.join(''), /canary/)
})

test('a field on the list is written only with a value of its kind', () => {
  const { log, last } = recording()
  const leaks = [
    '@canary:example.org',
    '!room:example.org',
    'mimi://h/u/x',
    '+358401234567',
    '192.168.0.17',
    'a b',
    'canary.example.org',
    '2001:db8::1',
    'x'.repeat(65),
  ]
  for (const leak of leaks) {
    log.info({ code: leak, module: leak, reason: leak }, 'something happened')
    assert.deepEqual(Object.keys(last()).sort(), ['level', 'msg', 'time'], leak)
  }
  log.info(
    { code: 'M_LIMIT_EXCEEDED', version: '0.1.0', type: 'm.room.encrypted', count: Number.NaN },
    'something happened',
  )
  assert.deepEqual(
    { code: last().code, version: last().version, type: last().type, count: last().count },
    {
      code: 'M_LIMIT_EXCEEDED',
      version: '0.1.0',
      type: 'm.room.encrypted',
      count: undefined,
    },
  )
})

test('a message with something put into it is not written', () => {
  const { log, lines } = recording()
  for (const message of [
    'sent to @canary:h',
    'got "canary"',
    'canary_1',
    'canary 401234567',
    'canary = x',
    'a\ncanary',
  ])
    log.error({}, message)
  assert.doesNotMatch(lines.join(''), /canary/)
})

describe('an error', () => {
  const described = (error: unknown) => {
    const { log, last, lines } = recording()
    log.error({ error }, 'it failed')
    assert.doesNotMatch(lines.join(''), /canary/)
    return last().error as Record<string, unknown>
  }

  test('is written by kind and place, without its message', () => {
    const cause = Object.assign(new Error('canary\n    at canary (file:///canary:1:1)'), {
      code: '23505',
      detail: 'canary',
    })
    const error = Object.assign(new TypeError('canary', { cause }), {
      errcode: 'M_FORBIDDEN',
      status: 403,
      params: ['canary'],
    })
    const { frames, cause: why, ...rest } = described(error) as { frames: string[]; cause: Record<string, unknown> }
    assert.deepEqual(rest, { name: 'TypeError', errcode: 'M_FORBIDDEN', status: 403 })
    assert.match(frames[0]!, /^[\w.<>-]+ src\/ops\/log\.test\.ts:\d+:\d+$/)
    assert.equal(why.name, 'Error')
    assert.ok((why.frames as string[]).every((frame) => !frame.includes('(')))
  })

  test('whose message changed after its stack was made shows no stack', () => {
    const error = new Error('canary was here\n    at canary (file:///canary/src/canary.ts:1:1)')
    assert.ok(error.stack, 'it is made when first looked at')
    error.message = 'another'
    assert.equal(described(error).frames, undefined)
  })

  test('whose message is empty or looks like a frame hides nothing and shows nothing of it', () => {
    assert.ok((described(new Error()).frames as string[]).length > 0)
    described(new Error('    at canary (file:///src/canary.ts:1:1)'))
  })

  test('may be anything that was thrown', () => {
    assert.deepEqual(described('canary'), { name: 'string' })
    assert.deepEqual(described(null), { name: 'null' })
    assert.deepEqual(described({ message: 'canary' }), { name: 'object' })
    const circular = new Error('canary')
    circular.cause = circular
    described(circular)
  })
})

test('a level that is off costs nothing and writes nothing', () => {
  const { log, lines } = recording()
  log.debug({ count: 1 }, 'not shown')
  assert.deepEqual(lines, [])
})

test('every message in the sources is a sentence that stands there', () => {
  const root = fileURLToPath(new URL('../', import.meta.url))
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  )
  const call = /\blog\s*\.(?:trace|debug|info|warn|error|fatal)\(\s*(\{[^{}]*\}|\w+),\s*([^\n]*)/g
  for (const file of files)
    for (const [, , message] of readFileSync(`${root}${file}`, 'utf8').matchAll(call))
      assert.doesNotMatch(message!, /^`|^[\w.]+\.message|^String\(/, `${file} puts something into a log message`)
})
