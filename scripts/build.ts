// npm run build: the production bundle in dist/, which needs Node 24 and nothing else.
//
//   node dist/silta.js serve
//
// dist/ holds the program in a few files, the WebAssembly modules and data that packages load from beside their code, the
// migrations, the pages for browsers, and the licences of everything that is in it.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { buildPages } from './pages/build.ts'
import { licences, packagesIn } from './support/licences.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

/** Files that code finds by `new URL(…, import.meta.url)`: where they are, and where they are looked for from the bundle. */
const besideTheCode: readonly [from: string, to: string][] = [
  ['src/store/migrations', 'migrations'],
  ['node_modules/@electric-sql/pglite/dist/pglite.wasm', 'pglite.wasm'],
  ['node_modules/@electric-sql/pglite/dist/pglite.data', 'pglite.data'],
  ['node_modules/@electric-sql/pglite/dist/initdb.wasm', 'initdb.wasm'],
  [
    'node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm',
    'pkg/matrix_sdk_crypto_wasm_bg.wasm',
  ],
  ['package.json', 'package.json'],
  ['LICENSE', 'LICENSE'],
]

const { values } = parseArgs({ options: { outdir: { type: 'string' } } })
const outdir = resolve(values.outdir ?? join(root, 'dist'))

rmSync(outdir, { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { silta: 'bin/silta.mjs' },
  outdir,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  chunkNames: 'part-[hash]',
  // Names stay, so that a logged stack says where something happened.
  minify: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // Packages in the older module format call `require`, which ES modules do not have.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'\nconst require = requireOf(import.meta.url)",
  },
  external: ['pg-native'],
})
for (const [from, to] of besideTheCode) {
  mkdirSync(dirname(join(outdir, to)), { recursive: true })
  cpSync(join(root, from), join(outdir, to), { recursive: true })
}
const pages = await buildPages(root, join(outdir, 'static'))
const packages = new Set([...packagesIn(metafile), ...pages.packages])
writeFileSync(join(outdir, 'THIRD-PARTY-LICENSES'), licences([...packages].sort()))
const sizes = readdirSync(outdir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
const bytes = sizes.reduce((sum, entry) => sum + readFileSync(join(entry.parentPath, entry.name)).length, 0)
console.log(`wrote ${outdir}: ${sizes.length} files, ${Math.round(bytes / 1e6)} MB`)
