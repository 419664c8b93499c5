import type { Crypto } from '../../crypto/index.ts'
import { LogError } from './errors.ts'
import { type NoteVerifier, parseVerifier } from './note.ts'

/** Whose word is taken for a checkpoint: the log's keys, of which one has to sign, and the witnesses. */
export interface LogPolicy {
  readonly logs: readonly NoteVerifier[]
  readonly witnesses: readonly NoteVerifier[]
  /** Where a witness takes checkpoints, as far as the policy says so. */
  readonly urls?: ReadonlyMap<NoteVerifier, string>
  /** Whether those who have cosigned are enough. */
  witnessed(by: ReadonlySet<NoteVerifier>): boolean
}

/** A policy file is some lines; the specification asks for 32 logs, witnesses and groups at least. */
const mostLines = 1000

/** What one key alone makes: no witness is asked for. */
export function policyOf(log: NoteVerifier | LogPolicy): LogPolicy {
  return 'logs' in log ? log : { logs: [log], witnesses: [], witnessed: () => true }
}

/** The same logs, without asking for witnesses: for what was signed before there were any. */
export function withoutWitnesses(policy: LogPolicy): LogPolicy {
  return { ...policy, witnessed: () => true }
}

type Judge = (by: ReadonlySet<NoteVerifier>) => boolean

/** Reads a policy file (https://c2sp.org/tlog-policy). @throws LogError malformed, with the line */
export function parsePolicy(crypto: Crypto, text: string): LogPolicy {
  const logs: NoteVerifier[] = []
  const witnesses: NoteVerifier[] = []
  const urls = new Map<NoteVerifier, string>()
  const names = new Map<string, Judge>()
  const members = new Set<string>()
  let quorum: Judge | undefined
  const lines = text.split('\n')
  if (lines.length > mostLines) throw new LogError('malformed', 'the policy has too many lines')
  for (const [at, line] of lines.entries()) {
    const wrong = (why: string) => new LogError('malformed', `line ${at + 1} of the policy: ${why}`)
    const [word, ...items] = line.split(/[ \t]+/).filter((item) => item !== '')
    if (word === undefined || word.startsWith('#')) continue
    const key = (written: string | undefined, type: NoteVerifier['type'], others: readonly NoteVerifier[]) => {
      const verifier = parseVerifier(crypto, written ?? '')
      if (verifier.type !== type) throw wrong('the key is of another kind')
      if (others.some((other) => other.publicKey.every((byte, i) => byte === verifier.publicKey[i])))
        throw wrong('the key is there already')
      return verifier
    }
    const name = (judge: Judge) => {
      const [own = ''] = items
      if (own === '' || own === 'none' || names.has(own)) throw wrong('the name is missing, taken, or none')
      names.set(own, judge)
    }
    const known = (own: string | undefined): Judge => {
      const judge = names.get(own ?? '')
      if (!judge) throw wrong('a name that no line before has')
      return judge
    }
    if (word === 'log') logs.push(key(items[0], 1, logs))
    else if (word === 'witness') {
      const verifier = key(items[1], 4, witnesses)
      witnesses.push(verifier)
      if (items[2] !== undefined) urls.set(verifier, items[2])
      name((by) => by.has(verifier))
    } else if (word === 'group') {
      const [, wanted = '', ...inside] = items
      const judges = inside.map((each) => {
        if (members.has(each)) throw wrong('a name that is in a group already')
        members.add(each)
        return known(each)
      })
      const least =
        wanted === 'any' ? 1 : wanted === 'all' ? judges.length : /^\d{1,4}$/.test(wanted) ? Number(wanted) : 0
      if (least < 1 || least > judges.length) throw wrong('a group asks for a number of its members, any or all')
      name((by) => judges.filter((judge) => judge(by)).length >= least)
    } else if (word === 'quorum') {
      if (quorum) throw wrong('there is a quorum already')
      quorum = items[0] === 'none' ? () => true : known(items[0])
    } else throw wrong('not a line of a policy')
  }
  if (!quorum) throw new LogError('malformed', 'the policy has no quorum')
  if (logs.length === 0) throw new LogError('malformed', 'the policy names no log')
  return { logs, witnesses, urls, witnessed: quorum }
}
