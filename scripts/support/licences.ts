import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'
import { root } from './command.ts'

/** Names of the packages of which something is in a bundle. */
export function packagesIn({ inputs }: Metafile): string[] {
  const names = new Set(Object.keys(inputs).map((input) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1]))
  return [...names].filter((name) => name !== undefined).sort()
}

/** Their licence texts. */
export function licences(names: readonly string[]): string {
  return names
    .map((name) => {
      const folder = join(root, 'node_modules', name)
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        version: string
        license?: string
      }
      const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry))
      const text = file && existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : ''
      return `${name} ${manifest.version}: ${manifest.license ?? 'see below'}\n\n${text.trim()}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}
