import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Licences (SPDX) that code in the product may have: they ask for a notice and no more. */
const allowed = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'PostgreSQL',
  'Unlicense',
  'Zlib',
])

interface LockEntry {
  version?: string
  license?: string
  dev?: boolean
  optional?: boolean
}

/** Checks the licence of every package that runs in production, as package-lock.json lists them. */
export function checkLicences(root: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>
  }
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && !entry.dev)
    .flatMap(([path, entry]) => {
      const licence = licenceOf(root, path, entry)
      if (licence !== undefined && isAllowed(licence)) return []
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
      return [`${name} ${entry.version ?? ''}: ${licence ?? 'states no licence'}`]
    })
}

/** What the package itself says; for one of another platform, which is not installed, what the lockfile says. */
function licenceOf(root: string, path: string, entry: LockEntry): string | undefined {
  const file = join(root, path, 'package.json')
  if (!existsSync(file)) return entry.license
  const { license } = JSON.parse(readFileSync(file, 'utf8')) as { license?: string | { type?: string } }
  return typeof license === 'object' ? license.type : license
}

/** Judges an SPDX expression: of alternatives one must be allowed, of a conjunction all. */
export function isAllowed(expression: string): boolean {
  const words = expression
    .replace(/([()])/g, ' $1 ')
    .split(/\s+/)
    .filter(Boolean)
  let at = 0
  const primary = (): boolean => {
    const word = words[at++] ?? ''
    if (word !== '(') return allowed.has(word)
    const inner = either()
    at++
    return inner
  }
  const both = (): boolean => {
    let result = primary()
    while (words[at] === 'AND') {
      at++
      result = primary() && result
    }
    return result
  }
  const either = (): boolean => {
    let result = both()
    while (words[at] === 'OR') {
      at++
      result = both() || result
    }
    return result
  }
  const result = either()
  return result && at === words.length
}
