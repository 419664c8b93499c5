// The pages that the service gives to browsers: each folder of src/web with an index.html is one, by the folder's name.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { BuiltPages } from '../../src/pages/index.ts'
import { licences, packagesIn } from '../support/licences.ts'
import { briefErrors } from './brief-errors.ts'
import { compactCodecs } from './compact-codecs.ts'
import { guestNever, guestOnly } from './guest-only.ts'

export interface PagesBuilt {
  readonly pages: readonly string[]
  /** Packages of which something is in the pages. */
  readonly packages: readonly string[]
}

/** References of a template to what lies beside it. */
const reference = /(<(?:script|link)\b[^>]*?)\b(src|href)="\.\/([\w./-]+)"/g

/**
 * Builds all pages of a checkout into a folder that src/pages serves; what the folder held before is gone. The same
 * sources and packages give the same bytes, whoever builds them and where.
 *
 * A template names what it loads by where it lies: `src="./main.ts"`, `href="./page.css"`, `href="./icon.svg"`. Each becomes
 * one file under /assets/, named after its content, scripts, styles and texts with their integrity. `href="./../texts/de.json"` is made from
 * `src/web/texts/de.ts`. `href="./licences.txt"` is written here.
 */
export async function buildPages(checkout: string, outdir: string): Promise<PagesBuilt> {
  const web = join(checkout, 'src', 'web')
  const names = existsSync(web)
    ? readdirSync(web)
        .filter((name) => existsSync(join(web, name, 'index.html')))
        .sort()
    : []
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string }
  const packages = new Set<string>()
  const built: BuiltPages = { version, pages: {}, assets: {} }
  const beside = `${outdir}.${process.pid}`
  rmSync(beside, { recursive: true, force: true })
  mkdirSync(join(beside, 'assets'), { recursive: true })

  for (const name of names) {
    const folder = join(web, name)
    const scripts: string[] = []
    const assets: string[] = []
    let html = readFileSync(join(folder, 'index.html'), 'utf8')
    for (const [whole, before = '', attribute = '', path = ''] of html.matchAll(reference)) {
      const made = await makeAsset(checkout, name, join(folder, path))
      for (const each of made.packages) packages.add(each)
      const hash = createHash('sha256').update(made.bytes).digest()
      const file = `${made.name}-${hash.toString('base64url').slice(0, 12)}${made.extension}`
      writeFileSync(join(beside, 'assets', file), made.bytes)
      built.assets[`/assets/${file}`] = { sha256: hash.toString('base64url'), bytes: made.bytes.length }
      assets.push(`/assets/${file}`)
      const integrity = `sha384-${createHash('sha384').update(made.bytes).digest('base64')}`
      if (made.extension === '.js') scripts.push(integrity)
      const checked = /^\.(js|css|json)$/.test(made.extension) ? ` integrity="${integrity}" crossorigin` : ''
      html = html.replace(whole, `${before}${attribute}="/assets/${file}"${checked}`)
    }
    const bytes = Buffer.from(html)
    writeFileSync(join(beside, `${name}.html`), bytes)
    built.pages[name] = { sha256: sha256(bytes), bytes: bytes.length, scripts, assets }
  }
  writeFileSync(join(beside, 'pages.json'), `${JSON.stringify(built, null, 2)}\n`)
  rmSync(outdir, { recursive: true, force: true })
  mkdirSync(dirname(outdir), { recursive: true })
  renameSync(beside, outdir)
  return { pages: names, packages: [...packages].sort() }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64url')

interface Asset {
  name: string
  extension: string
  bytes: Uint8Array
  packages: readonly string[]
}

async function makeAsset(checkout: string, page: string, file: string): Promise<Asset> {
  const extension = extname(file)
  if (basename(file) === 'licences.txt') {
    const { packages } = await bundle(checkout, join(dirname(file), 'main.ts'))
    return { name: `${page}-licences`, extension: '.txt', bytes: Buffer.from(licences(packages)), packages }
  }
  if (extension === '.json' && !existsSync(file)) return makeTexts(page, file)
  if (extension !== '.ts' && extension !== '.tsx' && extension !== '.css')
    return { name: basename(file, extension), extension, bytes: readFileSync(file), packages: [] }
  return { name: page, extension: extension === '.css' ? '.css' : '.js', ...(await bundle(checkout, file)) }
}

/** Texts of one language, from the module of that name: what all pages have, and what this one has. */
async function makeTexts(page: string, file: string): Promise<Asset> {
  const module = (await import(pathToFileURL(file.replace(/json$/, 'ts')).href)) as Record<string, object>
  const bytes = Buffer.from(JSON.stringify({ ...module.parts, ...module[page] }))
  return { name: `${page}-${basename(file, '.json')}`, extension: '.json', bytes, packages: [] }
}

/** One file and no more: what loads another would need its hash. */
async function bundle(checkout: string, file: string): Promise<Pick<Asset, 'bytes' | 'packages'>> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: checkout,
    entryPoints: [file],
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    plugins:
      basename(dirname(file)) === 'guest' ? [guestOnly, briefErrors, compactCodecs(guestNever)] : [compactCodecs()],
    charset: 'utf8',
    legalComments: 'none',
    define: { 'process.env.NODE_ENV': '"production"' },
    metafile: true,
    logLevel: 'warning',
  })
  return { bytes: outputFiles[0]!.contents, packages: packagesIn(metafile) }
}
