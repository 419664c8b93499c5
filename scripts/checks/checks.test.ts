import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findDuplicates, tokenize } from './duplicates.ts'
import { isAllowed } from './licences.ts'
import { findMachinePaths, machinePathPattern } from './machine-paths.ts'

describe('duplicates', () => {
  const piece = (name: string) =>
    `export function ${name}(a: number) {\n  return a * 2 + Math.max(a, 3) - Math.min(a, 5)\n}\n`
  const text = (file: string, source: string, minimum = 20) => ({ file, source, minimum })

  it('finds a run of equal tokens in two files, with its lines', () => {
    const found = findDuplicates([text('a.ts', piece('one')), text('b.ts', `// a note\n\n${piece('two')}`)])
    assert.deepEqual(found, ['29 equal tokens: a.ts:1–3 and b.ts:3–5'])
  })

  it('finds it twice in one file, and once per run', () => {
    assert.equal(findDuplicates([text('a.ts', piece('one') + piece('two'))]).length, 1)
  })

  it('leaves short runs, imports and comments alone', () => {
    const imports = "import { a, b, c, d, e, f, g, h, i, j, k, l } from './a.ts'\n"
    const comment = '/* one two three four five six seven eight nine ten eleven twelve thirteen */\n'
    assert.deepEqual(findDuplicates([text('a.ts', imports + comment), text('b.ts', imports + comment)]), [])
    assert.deepEqual(findDuplicates([text('a.ts', piece('one'), 40), text('b.ts', piece('two'), 40)]), [])
  })

  it('asks more of a file with a larger minimum', () => {
    assert.deepEqual(findDuplicates([text('a.ts', piece('one')), text('a.test.ts', piece('two'), 40)]), [])
  })

  it('keeps an address in a string and counts a string as one token', () => {
    assert.deepEqual(
      tokenize("const a = 'https://example.org/b'").map((token) => token.text),
      ['const', 'a', '=', "'https://example.org/b'"],
    )
  })
})

describe('licences', () => {
  it('accepts permissive ones, alone and combined', () => {
    for (const licence of ['MIT', '(MIT OR GPL-3.0)', 'Apache-2.0 AND (BSD-3-Clause OR LGPL-3.0)']) {
      assert.ok(isAllowed(licence), licence)
    }
  })

  it('refuses others, and what it cannot read', () => {
    for (const licence of ['GPL-3.0', 'MIT AND AGPL-3.0', 'SEE LICENSE IN LICENSE', '', '(MIT', 'MIT Apache-2.0']) {
      assert.ok(!isAllowed(licence), licence)
    }
  })
})

describe('machine paths', () => {
  const home = (name: string) => ['', 'home', name, ''].join('/')
  const pattern = machinePathPattern('/build/agent/silta', '/var/empty')

  it('finds the checkout, what lies beside it, and home folders', () => {
    for (const path of ['/build/agent/silta/src', '/build/agent/other', `${home('ann')}notes`, '/var/empty/x']) {
      assert.equal(findMachinePaths('a.md', `see\n  ${path}`, pattern).length, 1, path)
    }
  })

  it('leaves paths alone that exist everywhere', () => {
    for (const path of ['/usr/bin/chromium', '/tmp/x', './data', 'https://example.org/home/']) {
      assert.deepEqual(findMachinePaths('a.md', path, pattern), [], path)
    }
  })
})
