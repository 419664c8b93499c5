import { join } from 'node:path'
import type { Config } from '../config/index.ts'
import { askOperator, operatorSocketFile } from '../ops/index.ts'
import { readFileOf } from './log-arguments.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

const refusals: Record<string, string> = {
  'not-allowed': 'This credential is not for that: it has to be of scope resolve (silta auditor add --scope resolve).',
  'not-known': 'The log does not know this account, or no longer.',
  'not-asked': 'Nobody has asked for it within a day whose credential counts still: silta audit map request.',
  'same-person': 'Whoever has asked cannot agree too: this is for a second person with a credential of their own.',
}

/** `silta audit map request | approve ADDRESS`: the running service tells a pseudonym when two agree. @returns the exit code */
export async function mapSubject(
  config: Config,
  [step, account]: readonly (string | undefined)[],
  tokenFile: string | undefined,
  terminal: Terminal,
): Promise<number> {
  if (step !== 'request' && step !== 'approve') throw new Unusable('silta audit map needs a step: request or approve')
  if (!account?.startsWith('mimi://') || tokenFile === undefined)
    throw new Unusable(
      `silta audit map ${step} needs the address of an account (mimi://DOMAIN/u/…, which its owner sees with /address) and --token-file FILE`,
    )
  const answer = await askOperator(join(config.dataDirectory, operatorSocketFile), {
    path: `/audit/map/${step}`,
    body: { account, credential: readFileOf(tokenFile).toString('utf8').trim() },
  })
  if (answer?.status === 200) {
    const { pseudonym } = answer.body
    terminal.out(
      typeof pseudonym === 'string'
        ? `${pseudonym}\n`
        : 'Asked, and in the log. A second person has a day to agree: silta audit map approve.\n',
    )
    return exit.well
  }
  terminal.err(
    answer === undefined
      ? 'The service does not run with this data directory. It has to: what is told is an entry of the log.\n'
      : `${refusals[String(answer.body.code)] ?? `The service has refused it (status ${answer.status}).`}\n`,
  )
  return exit.failed
}
