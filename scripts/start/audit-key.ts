import { run } from '../../src/cli/index.ts'
import type { Configuration } from './configuration.ts'

/** The key of the compliance log, as `silta audit key` prints it. */
export async function auditKeyOf({ file, environment }: Configuration): Promise<string | undefined> {
  const said: string[] = []
  const env = { ...process.env, ...environment }
  const code = await run(['audit', 'key', '--config', file], {
    env,
    out: (text) => void said.push(text),
    err: () => {},
  })
  return code === 0 ? said.join('').trim() : undefined
}
