import { join } from 'node:path'
import type { Config } from '../config/index.ts'
import { askOperator, operatorSocketFile } from '../ops/index.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

/** `silta audit erase ADDRESS`: asks the running service. @returns the exit code */
export async function eraseSubject(config: Config, address: string | undefined, terminal: Terminal): Promise<number> {
  if (address === undefined || !address.startsWith('mimi://'))
    throw new Unusable(
      'silta audit erase needs the address of an account: mimi://DOMAIN/u/…, which its owner sees with /address',
    )
  const answer = await askOperator(join(config.dataDirectory, operatorSocketFile), {
    path: '/audit/erase',
    body: { account: address },
  })
  if (answer?.status === 200) {
    terminal.out('Erased: nobody can tell any more whose these pseudonyms are. The log has an entry of it.\n')
    return exit.well
  }
  terminal.err(
    answer?.status === 202
      ? 'Begun, and in the log, but not done: the file of subjects’ keys could not be rewritten, and the log of the service says why. Ask again when that is mended; a start of the service carries it out too.\n'
      : answer === undefined
        ? 'The service does not run with this data directory. It has to: the erasure is an entry of the log.\n'
        : answer.status === 404
          ? 'The log does not know this account, or no longer.\n'
          : `The service has refused it (status ${answer.status}).\n`,
  )
  return exit.failed
}
