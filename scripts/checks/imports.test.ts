import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importRules } from './import-rules.ts'
import { checkImports, readImports } from './imports.ts'

/** Checks a small made-up repository: file → source text. */
function findings(files: Record<string, string>): string[] {
  return checkImports(new Map(Object.entries(files).map(([file, source]) => [file, readImports(source)])), importRules)
}

const accepts = (files: Record<string, string>) => assert.deepEqual(findings(files), [])
const refuses = (files: Record<string, string>, expected: RegExp) => {
  const found = findings(files)
  assert.ok(
    found.some((finding) => expected.test(finding)),
    `no finding like ${expected} among: ${found.join('\n')}`,
  )
}

describe('reading imports', () => {
  const read = (source: string) => readImports(source).map(({ specifier, typeOnly }) => [specifier, typeOnly])

  it('finds every form of import and export', () => {
    const source = [
      "import a from './a.ts'",
      "import * as b from './b.ts'",
      "import c, { d } from './c.ts'",
      "import {\n  e,\n  f as g,\n} from './e.ts'",
      "import './side-effect.ts'",
      "export * from './star.ts'",
      "export * as h from './named-star.ts'",
      "export { i } from './i.ts'",
      "const j = await import('./dynamic.ts')",
    ].join('\n')
    const expected = ['a', 'b', 'c', 'e', 'side-effect', 'star', 'named-star', 'i', 'dynamic']
    assert.deepEqual(
      read(source),
      expected.map((name) => [`./${name}.ts`, false]),
    )
  })

  it('tells imports of types from imports of code', () => {
    assert.deepEqual(read("import type { A } from './a.ts'\nexport type { B } from './b.ts'"), [
      ['./a.ts', true],
      ['./b.ts', true],
    ])
    assert.deepEqual(read("import type from './type.ts'"), [['./type.ts', false]])
    assert.deepEqual(read("let a: typeof import('./a.ts')"), [['./a.ts', true]])
  })

  it('is not led astray by exported values and comments', () => {
    const source =
      "export const a = 'x'\n// import b from './b.ts'\n/*\n * import c from './c.ts'\n */\nexport { d } from './d.ts'"
    assert.deepEqual(read(source), [['./d.ts', false]])
  })

  it('names what is taken, by its own name', () => {
    assert.deepEqual(readImports("import { a, type B as C } from 'x'")[0]?.names, ['a', 'B'])
    assert.equal(readImports("import * as x from 'x'")[0]?.names, undefined)
  })
})

describe('the order of rooms', () => {
  it('lets a room import the ones below it, by their doors', () => {
    accepts({
      'src/hub/index.ts': "import { a } from '../identity/index.ts'\nimport { b } from '../mls/public.ts'",
      'src/identity/index.ts': '',
      'src/mls/public.ts': '',
    })
  })

  it('refuses an arrow upwards, also for a type', () => {
    refuses(
      { 'src/identity/index.ts': "import type { Hub } from '../hub/index.ts'" },
      /identity may not import src\/hub/,
    )
    refuses({ 'src/store/index.ts': "import { a } from '../client/index.ts'" }, /store may not import src\/client/)
  })

  it('refuses an edge that knows the hub or the gateway', () => {
    refuses({ 'src/edge/index.ts': "import { a } from '../hub/index.ts'" }, /edge may not import src\/hub/)
    refuses({ 'src/edge/a/b.ts': "import { a } from '../../messenger/index.ts'" }, /edge may not import src\/messenger/)
  })

  it('refuses a way into a room past its door', () => {
    refuses({ 'src/hub/a.ts': "import { a } from '../store/leases.ts'" }, /store\/leases\.ts is not a door/)
    refuses({ 'scripts/a.ts': "import { a } from '../src/store/leases.ts'" }, /store\/leases\.ts is not a door/)
  })

  it('lets one file of the SDK know the store, and no other', () => {
    accepts({ 'src/client/storage/sql.ts': "import type { Database } from '../../store/index.ts'" })
    refuses(
      { 'src/client/device.ts': "import type { Database } from '../store/index.ts'" },
      /client may not import src\/store/,
    )
  })

  it('refuses a room that nobody has put into the table, and code outside of src', () => {
    refuses({ 'src/attic/a.ts': "import { a } from '../crypto/index.ts'" }, /src\/attic is not in the table/)
    refuses({ 'src/hub/a.ts': "import { a } from '../../test/support/a.ts'" }, /lies outside/)
  })

  it('lets tests import what they like, and nothing import tests', () => {
    accepts({ 'src/hub/rooms.test.ts': "import { a } from '../edge/portals/portal.ts'" })
    refuses({ 'src/hub/a.ts': "import { a } from './testing.ts'", 'src/hub/testing.ts': '' }, /for tests only/)
  })

  it('keeps a package in its room', () => {
    accepts({ 'src/store/postgres.ts': "import pg from 'pg'" })
    refuses({ 'src/hub/a.ts': "import pg from 'pg'" }, /pg belongs to src\/store/)
    refuses({ 'src/edge/portals/a.ts': "import 'fake-indexeddb/auto'" }, /fake-indexeddb belongs to src\/edge\/matrix/)
  })
})

describe('circles', () => {
  it('finds one over several files and names it once', () => {
    const found = findings({
      'src/hub/a.ts': "import { b } from './b.ts'",
      'src/hub/b.ts': "import type { C } from './c.ts'",
      'src/hub/c.ts': "import { a } from './a.ts'",
      'src/hub/d.ts': "import { a } from './a.ts'",
    })
    assert.deepEqual(found, ['a circle of imports: src/hub/a.ts → src/hub/b.ts → src/hub/c.ts → src/hub/a.ts'])
  })

  it('accepts two ways to one file', () => {
    accepts({
      'src/hub/a.ts': "import { b } from './b.ts'\nimport { c } from './c.ts'",
      'src/hub/b.ts': "import { c } from './c.ts'",
      'src/hub/c.ts': '',
    })
  })
})

describe('what must not be reachable', () => {
  it('refuses Node in what a browser loads, however far away', () => {
    refuses(
      {
        'src/client/index.ts': "import { a } from './device.ts'",
        'src/client/device.ts': "import { a } from '../content/index.ts'",
        'src/content/index.ts': "import { createHash } from 'node:crypto'",
      },
      /browser.*content\/index\.ts:1 imports node:crypto/,
    )
  })

  it('accepts Node in a file that a browser does not load, and in types', () => {
    accepts({
      'src/client/index.ts': "import type { Socket } from 'node:net'",
      'src/client/file.node.ts': "import { readFile } from 'node:fs/promises'",
    })
  })

  it('refuses a hub that reaches the members’ side of MLS, also through the public door', () => {
    refuses(
      { 'src/hub/a.ts': "import { a } from '../mls/index.ts'" },
      /may enter src\/mls through src\/mls\/public\.ts only/,
    )
    refuses(
      {
        'src/hub/a.ts': "import { a } from '../mls/public.ts'",
        'src/mls/public.ts': "import type { GroupState } from './index.ts'",
        'src/mls/index.ts': '',
      },
      /the hub cannot decrypt: reaches src\/mls\/index\.ts/,
    )
  })

  it('refuses a hub that takes a member’s function from the library', () => {
    const hub = { 'src/hub/a.ts': "import { a } from '../mls/public.ts'" }
    accepts({ ...hub, 'src/mls/public.ts': "import { verifyGroupInfo } from 'ts-mls'" })
    refuses(
      { ...hub, 'src/mls/public.ts': "import { processPrivateMessage } from 'ts-mls'" },
      /takes processPrivateMessage/,
    )
    refuses({ ...hub, 'src/mls/public.ts': "import * as mls from 'ts-mls'" }, /all of ts-mls/)
  })

  it('refuses an edge that reaches the hub by a detour', () => {
    refuses(
      {
        'src/edge/index.ts': "import { a } from '../ops/index.ts'",
        'src/ops/index.ts': "import { a } from '../hub/index.ts'",
        'src/hub/index.ts': '',
      },
      /ordinary client: reaches src\/hub\/index\.ts/,
    )
  })
})
