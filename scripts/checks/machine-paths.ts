import { dirname } from 'node:path'

/** Folders that exist everywhere: naming something in them gives no machine away. */
const common = new Set(['/', '/tmp', '/usr', '/usr/src', '/opt', '/srv', '/var', '/var/lib', '/home', '/Users', '/mnt'])

/** Paths that tell whose machine a file was written on: the checkout and the home folder, and everybody's home folders. */
export function machinePathPattern(checkout: string, home: string): RegExp {
  const own = [checkout, dirname(checkout), home].filter((path) => !common.has(path))
  const quoted = own.map((path) => `${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}/`)
  return new RegExp([...new Set(quoted), String.raw`/(?:home|Users)/[A-Za-z][\w.-]*/`].join('|'))
}

/** Lines of a file that match, as `file:line text`. */
export function findMachinePaths(file: string, text: string, pattern: RegExp): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1} ${line.trim().slice(0, 120)}`] : []))
}
