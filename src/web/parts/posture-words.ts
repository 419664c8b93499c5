import type { Posture } from '../../identity/index.ts'
import type { Words } from '../texts/index.ts'

const networks = new Map([
  ['matrix', 'Matrix'],
  ['xmpp', 'XMPP'],
  ['deltachat', 'Delta Chat'],
])

/** Who can read, in a sentence or two. Nothing, as long as it is not known. */
export function postureWords({ say }: Words, posture: Posture | undefined, name: string): string {
  if (!posture) return ''
  const plain = posture.level === 'plaintext' ? ` ${say('chat.readers.plain')}` : ''
  const [reader] = posture.readers
  if (reader) {
    const operator = posture.readers.map((each) => each.operator).join(', ')
    return say('chat.readers.edge', { name, operator, network: networks.get(reader.network) ?? reader.network }) + plain
  }
  if (posture.accounts <= 1) return say('chat.readers.self')
  if (posture.accounts > 2) return say('chat.readers.group', { count: posture.accounts }) + plain
  return say('chat.readers', { name }) + plain
}
