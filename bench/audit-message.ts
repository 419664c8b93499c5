import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from './statistics.ts'

/** What one message between two accounts takes of the process that holds hub, gateway, database and both devices. */
export interface MessageCost {
  readonly cpuMs: number
  /** From sending to arrival. */
  readonly ms: number
  readonly writeCalls: number
  readonly writtenBytes: number
  /** Of the database's write-ahead log. */
  readonly walBytes: number
}

export interface MessageCosts {
  readonly rounds: number
  readonly messages: number
  readonly with: MessageCost
  readonly without: MessageCost
}

const program = fileURLToPath(new URL('./audit-message-process.ts', import.meta.url))

/** The same messages with the compliance log and without it, a process each, in turns; medians. */
export function measureMessages(rounds: number, messages: number): MessageCosts {
  const runs: Record<'with' | 'without', MessageCost[]> = { with: [], without: [] }
  for (let round = 0; round < rounds; round++)
    // Who goes first changes, so that what the machine does meanwhile falls on both.
    for (const side of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
      const printed = execFileSync(process.execPath, [program, side, String(messages)], { encoding: 'utf8' })
      runs[side].push(JSON.parse(printed.trim().split('\n').at(-1)!) as MessageCost)
    }
  const middle = (all: readonly MessageCost[]): MessageCost => {
    const of = (name: keyof MessageCost) => median(all.map((each) => each[name]))
    return {
      cpuMs: of('cpuMs'),
      ms: of('ms'),
      writeCalls: of('writeCalls'),
      writtenBytes: of('writtenBytes'),
      walBytes: of('walBytes'),
    }
  }
  return { rounds, messages, with: middle(runs.with), without: middle(runs.without) }
}
