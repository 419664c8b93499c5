import { fileURLToPath } from 'node:url'
import type { DescField } from '@bufbuild/protobuf'
import type { Plugin } from 'esbuild'
import type { Field, Flags, Kind, Table } from '../../src/protocol/compact.ts'
import { file_messenger as file } from '../../src/protocol/index.ts'

const cbor = fileURLToPath(new URL('../../src/cbor/compact.ts', import.meta.url))
const codec = fileURLToPath(new URL('../../src/protocol/compact.ts', import.meta.url))

/** Numbers of protobuf's scalar types, those that the schema uses. */
const scalars = new Map<number, Kind>([
  [4, 'U'],
  [8, 'b'],
  [9, 's'],
  [12, 'y'],
  [13, 'u'],
])

/** What the frames of both sides are, and so all that is ever written or read by itself. */
const frames = ['ClientFrame', 'ServerFrame']

/**
 * The schema as `src/protocol/compact.ts` wants it. Throws at what that does not know.
 *
 * @param without cases of the frames that the page never sends or is sent: they and the messages in them alone are left out
 */
export function compactTable(without: ReadonlySet<string> = new Set()): Table {
  const table = file.messages.map(({ name, fields }) =>
    fields.map(compactField).filter(([, field]) => !(frames.includes(name) && without.has(field))),
  )
  if (without.size === 0) return table
  const used = new Set<number>()
  const use = (index: number) => {
    if (index < 0 || used.has(index)) return
    used.add(index)
    for (const [, , , , , inner] of table[index]!) use(inner)
  }
  for (const [index, { name }] of file.messages.entries()) if (frames.includes(name)) use(index)
  return table.map((fields, index) => (used.has(index) ? fields : []))
}

function compactField(field: DescField): Field {
  const { number, localName, oneof, enum: values, message, scalar, presence, proto } = field
  const kind = message ? 'm' : values ? 'e' : scalars.get(scalar ?? 0)
  if (!kind || field.fieldKind === 'map') throw new Error(`${field.toString()}: not known to src/protocol/compact.ts`)
  const explicit = presence === 1 && (message !== undefined || proto.proto3Optional)
  const flags: Flags = field.fieldKind === 'list' ? 1 : explicit ? 2 : 0
  return [number, localName, kind, flags, oneof && !proto.proto3Optional ? oneof.localName : '', indexOf(message)]
}

function indexOf(message: DescField['message']): number {
  return message ? file.messages.indexOf(message) : -1
}

/** For a page's bundle: small codecs in the place of the packages', and a table in that of the generated descriptors. */
export const compactCodecs = (without?: ReadonlySet<string>): Plugin => ({
  name: 'compact codecs',
  setup(build) {
    build.onResolve({ filter: /^@bufbuild\/protobuf$/ }, () => ({ path: codec }))
    build.onResolve({ filter: /^\.\/codec\.ts$/ }, ({ resolveDir }) =>
      resolveDir.endsWith('src/cbor') ? { path: cbor } : undefined,
    )
    build.onResolve({ filter: /\/messenger_pb\.js$/ }, () => ({ path: 'messenger', namespace: 'compact' }))
    build.onLoad({ filter: /.*/, namespace: 'compact' }, () => ({
      contents: compactModule(compactTable(without)),
      resolveDir: fileURLToPath(new URL('./', import.meta.url)),
      loader: 'js',
    }))
  },
})

/** Without the last values where they are the usual ones: what is missing reads the same. */
function brief(field: Field): unknown[] {
  const usual: readonly unknown[] = [undefined, undefined, undefined, 0, '', -1]
  const last = field.findLastIndex((value, at) => value !== usual[at])
  return field.slice(0, last + 1)
}

/** The same names as the generated module exports. */
function compactModule(table: Table): string {
  const schemas = file.messages.map(({ name }, i) => `export const ${name}Schema = /*@__PURE__*/ schema(table, ${i})`)
  const enums = file.enums.map(({ name, values }) => {
    const both = values.flatMap(({ localName, number }) => [
      [localName, number],
      [number, localName],
    ])
    return `export const ${name} = ${JSON.stringify(Object.fromEntries(both))}`
  })
  return [
    `import { schema } from ${JSON.stringify(codec)}`,
    `const table = ${JSON.stringify(table.map((fields) => fields.map(brief)))}`,
    ...schemas,
    ...enums,
  ].join('\n')
}
