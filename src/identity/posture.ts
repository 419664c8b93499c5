import type { Leaf } from './leaf.ts'

/** Somebody besides the members who can read: whoever runs an edge, and the network it translates to. */
export interface Reader {
  operator: string
  network: string
}

/** Who can read a conversation, computed from its members' credentials, so that no server can talk it up. */
export interface Posture {
  /** `native`: members only. `edge`: also the operators named. `plaintext`: also a network without encryption. */
  level: 'native' | 'edge' | 'plaintext'
  /** Each once, ordered by operator, then network. */
  readers: Reader[]
  /** Number of accounts with a leaf. */
  accounts: number
}

/** `plaintextNetworks`: names of networks that do not encrypt between their users and the edge. */
export function posture(
  leaves: readonly Pick<Leaf, 'address' | 'accountKind' | 'operator' | 'network'>[],
  plaintextNetworks: readonly string[] = [],
): Posture {
  const readers = new Map<string, Reader>()
  for (const { accountKind, operator = '', network = '' } of leaves) {
    if (accountKind === 'edge') readers.set(`${operator} ${network}`, { operator, network })
  }
  const plaintext = [...readers.values()].some(({ network }) => plaintextNetworks.includes(network))
  let level: Posture['level'] = readers.size > 0 ? 'edge' : 'native'
  if (plaintext) level = 'plaintext'
  return {
    level,
    readers: [...readers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reader]) => reader),
    accounts: new Set(leaves.map(({ address }) => address)).size,
  }
}

const networkNames = new Map([
  ['matrix', 'Matrix'],
  ['xmpp', 'XMPP'],
  ['deltachat', 'Delta Chat'],
])

/**
 * The posture in words, for the person who looks at it: one or two English sentences that say who can read, not "secure".
 * `other`: how the other account of two is called; `host`: the domain of the provider that carries the messages, to say
 * that it cannot read them where that is so.
 */
export function describePosture(posture: Posture, names: { other?: string; host?: string } = {}): string {
  const { other = 'the other person' } = names
  const company = names.host ?? 'The company that runs it'
  let members = `Only you and ${other}`
  if (posture.accounts <= 1) members = 'Only you'
  if (posture.accounts > 2) members = `Only the ${posture.accounts} members`
  const edges = joinWords(
    posture.readers.map(({ operator, network }) => `${operator}, which translates to ${nameOf(network)}`),
  )
  const sentences = [`${members} can read this chat${edges && `, and ${edges}`}.`]
  const hostReads =
    names.host === undefined ? edges !== '' : posture.readers.some(({ operator }) => operator === names.host)
  if (!hostReads) sentences.push(`${company} cannot.`)
  if (posture.level === 'plaintext') {
    sentences.push('Part of the way it is not encrypted: whoever carries it there can read it too.')
  }
  return sentences.join(' ')
}

function nameOf(network: string): string {
  return networkNames.get(network) ?? network
}

function joinWords(words: string[]): string {
  return words.length > 1 ? `${words.slice(0, -1).join('; ')}; and ${words.at(-1)}` : (words[0] ?? '')
}
