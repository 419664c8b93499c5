import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout's folder. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** A program of an installed package. */
export const packageProgram = (name: string): string => join(root, 'node_modules', '.bin', name)

/** Runs a program in the checkout and collects what it prints, in the order in which it arrives. */
export async function run(
  program: string,
  parameters: readonly string[],
  { environment = {} }: { environment?: Record<string, string> } = {},
): Promise<{ code: number; output: string }> {
  const child = spawn(program, parameters, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  return { code: code ?? 1, output }
}

/** Files that git knows or would add: neither ignored ones nor deleted ones. */
export async function trackedFiles(...patterns: string[]): Promise<string[]> {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate', '--', ...patterns]
  const [known, deleted] = await Promise.all([run('git', list), run('git', ['ls-files', '--deleted'])])
  if (known.code !== 0) throw new Error(`git ls-files failed: ${known.output}`)
  const gone = new Set(deleted.output.split('\n'))
  return known.output.split('\n').filter((file) => file !== '' && !gone.has(file))
}
