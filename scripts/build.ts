// npm run build: the service as one file for production, dist/bin/silta.mjs, with the files that it reads at run time
// beside it, the licences of what is in it, and nothing to install. It needs Node 24.
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'
import { root, run } from './support/command.ts'

const dist = join(root, 'dist')
const output = 'bin/silta.mjs'

/** What the code reads at run time by a path relative to itself; dist/ has the same folders as the checkout. */
const filesBeside = [
  'src/store/migrations/*.sql',
  'node_modules/@electric-sql/pglite/dist/{pglite,initdb}.{wasm,data}',
  'node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/*.wasm',
]

/** In one file all modules share one `import.meta.url`: each is given the place that it would have in dist/. */
const ownPlaces: Plugin = {
  name: 'own places',
  setup({ onLoad }) {
    onLoad({ filter: /\.(ts|js|mjs)$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      if (!source.includes('import.meta.url')) return undefined
      const place = relative(dirname(join(root, output)), path)
      const url = `new URL(${JSON.stringify(place)}, import.meta.url).href`
      return { contents: source.replaceAll('import.meta.url', url), loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
}

async function bundle(): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints: [join(root, output)],
    outfile: join(dist, output),
    absWorkingDir: root,
    bundle: true,
    // A linked node_modules is one of this checkout: paths are written as it has them.
    preserveSymlinks: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    sourcemap: 'linked',
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [ownPlaces],
    // Native code that is not installed; pg works without it.
    external: ['pg-native'],
    // Packages in the older module format ask for Node's own modules by require().
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  })
  return metafile
}

function copyFiles(): void {
  for (const file of filesBeside.flatMap((pattern) => globSync(pattern, { cwd: root }))) {
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    cpSync(join(root, file), join(dist, file))
  }
  const { name, version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
    string,
    string
  >
  const manifest = { name, version, license, type: 'module', bin: { silta: output }, engines: { node: '>=24' } }
  writeFileSync(join(dist, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  cpSync(join(root, 'LICENSE'), join(dist, 'LICENSE'))
}

/** The licences of the packages whose code is in the file ask to be handed on with it. */
function writeLicences({ inputs }: Metafile): void {
  const inside = Object.keys(inputs).map((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  const texts = [...new Set(inside)]
    .filter((folder) => folder !== undefined)
    .sort()
    .map(licenceText)
  writeFileSync(join(dist, 'THIRD-PARTY-LICENCES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`))
}

function licenceText(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  const files = readdirSync(join(root, folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
  const texts = files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim())
  return `${[`${name} ${version} (${license})`, ...texts].join('\n\n')}\n`
}

rmSync(dist, { recursive: true, force: true })
const metafile = await bundle()
copyFiles()
writeLicences(metafile)
const { code, output: printed } = await run(process.execPath, [join(dist, output), 'version'])
if (code !== 0) throw new Error(`the bundle does not start:\n${printed}`)
const kilobytes = Math.round(statSync(join(dist, output)).size / 1024)
if (!existsSync(join(dist, 'src/store/migrations'))) throw new Error('the migrations are missing')
console.log(`dist/${output}: ${kilobytes} KB, version ${printed.trim()}. Start it with: node dist/${output} serve`)
