import { join } from 'node:path'
import { interopOutcomes, readDay } from '../audit/index.ts'
import type { Config } from '../config/index.ts'
import { askOperator, operatorSocketFile } from '../ops/index.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

const refusals: Record<string, string> = {
  'bad-provider': 'The other provider is named by its domain, as rival.example.',
  'bad-time': 'When a request came in cannot be in the future, nor more than a year ago.',
  'not-open': 'There is no open request of that id; silta audit interop list shows them.',
  'reason-needed': 'A refusal needs --reason, a word in small letters: it stands in the log for good.',
}

interface InteropArguments {
  readonly on?: string | undefined
  readonly reason?: string | undefined
}

/** `silta audit interop …`: the clock of requests by other providers. @returns the exit code */
export async function clockInterop(
  config: Config,
  [step, about, outcome]: readonly (string | undefined)[],
  { on, reason }: InteropArguments,
  terminal: Terminal,
): Promise<number> {
  const ask = (path: string, body: object) =>
    askOperator(join(config.dataDirectory, operatorSocketFile), { path: `/audit/interop/${path}`, body })
  const answer = await ask(...questionOf([step, about, outcome], { on, reason }))
  if (answer?.status !== 200) {
    terminal.err(
      answer === undefined
        ? 'The service does not run with this data directory. It has to: requests are entries of the log.\n'
        : `${refusals[String(answer.body.code)] ?? `The service has refused it (status ${answer.status}).`}\n`,
    )
    return exit.failed
  }
  const day = (at: unknown) => new Date(Number(at)).toISOString().slice(0, 10)
  const { request, due, requests } = answer.body
  if (step === 'received') terminal.out(`${request}  to be met until ${day(due)}\n`)
  if (step === 'answered') terminal.out('In the log.\n')
  for (const each of (requests ?? []) as Record<string, unknown>[]) {
    const state = each.outcome ?? (Number(each.due) < Date.now() ? 'open, OVERDUE' : 'open')
    terminal.out(`${each.request}  ${each.provider}  received ${day(each.received)}  due ${day(each.due)}  ${state}\n`)
  }
  return exit.well
}

function questionOf(
  [step, about, outcome]: readonly (string | undefined)[],
  { on, reason }: InteropArguments,
): [path: string, body: object] {
  if (step === 'list') return ['list', {}]
  if (step === 'received' && about !== undefined) {
    const received = on === undefined ? undefined : readDay(on)
    if (on !== undefined && received === undefined)
      throw new Unusable('--on must be a day that there is, as 2026-11-22')
    return ['received', { provider: about, received }]
  }
  const known = interopOutcomes.find((each) => each === outcome)
  if (step === 'answered' && about !== undefined && known)
    return ['answered', { request: about, outcome: known, reason }]
  throw new Unusable(`silta audit interop needs: received DOMAIN, answered ID ${interopOutcomes.join('|')}, or list`)
}
