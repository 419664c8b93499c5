import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

interface FileFacts {
  /** base64url. */
  sha256: string
  bytes: number
}

/** What `pages.json` in the folder of built pages says; the build writes it. */
export interface BuiltPages {
  /** Of the sources. */
  version: string
  /** By name: its file is `{name}.html`. `scripts`: the integrity of each. `assets`: paths of what it loads. */
  pages: Record<string, FileFacts & { scripts: string[]; assets: string[] }>
  /** By path, /assets/…. */
  assets: Record<string, FileFacts>
}

/** A file as it is sent. All of them together are some hundred kilobytes, so they stay in memory. */
export interface ServedFile {
  readonly plain: Uint8Array<ArrayBuffer>
  readonly br: Uint8Array<ArrayBuffer>
  readonly gzip: Uint8Array<ArrayBuffer>
  readonly type: string
}

/** The folder of pages does not hold what was built. */
export class PagesError extends Error {
  override readonly name = 'PagesError'
}

/** Where the build puts them: beside this file in a checkout, beside the program in a bundle. */
const usualDirectory = fileURLToPath(new URL('./static/', import.meta.url))

const types: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  svg: 'image/svg+xml',
  png: 'image/png',
  txt: 'text/plain; charset=utf-8',
}

export interface PageFiles {
  readonly built: BuiltPages
  readonly pages: ReadonlyMap<string, ServedFile>
  readonly assets: ReadonlyMap<string, ServedFile>
}

/**
 * Reads the built pages; undefined when there are none. A file that is not what was built is not served.
 *
 * @throws PagesError
 */
export function readPages(directory: string = usualDirectory): PageFiles | undefined {
  const list = join(directory, 'pages.json')
  if (!existsSync(list)) return undefined
  const built = JSON.parse(readFileSync(list, 'utf8')) as BuiltPages
  const read = (path: string, facts: FileFacts): ServedFile => {
    const plain = new Uint8Array(readFileSync(join(directory, path)))
    if (createHash('sha256').update(plain).digest('base64url') !== facts.sha256)
      throw new PagesError(`${path} of the built pages is not what was built: build them again`)
    const type = types[path.slice(path.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }
    return {
      plain,
      type,
      br: new Uint8Array(brotliCompressSync(plain, quality)),
      gzip: new Uint8Array(gzipSync(plain, { level: 9 })),
    }
  }
  const all = (facts: Record<string, FileFacts>, fileOf: (name: string) => string) =>
    new Map(Object.entries(facts).map(([name, each]) => [name, read(fileOf(name), each)]))
  return {
    built,
    pages: all(built.pages, (name) => `${name}.html`),
    assets: all(built.assets, (path) => path.slice(1)),
  }
}
