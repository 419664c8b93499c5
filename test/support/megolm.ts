import assert from 'node:assert/strict'
import { defaultMatrixSettings, openHomeserver } from '../../src/edge/matrix/index.ts'
import type { TestSynapse } from './synapse.ts'

/** One encrypted message, by what it used up. */
export interface MegolmUse {
  /** Session and index: together they name one key, which must serve one message. */
  readonly key: string
  readonly ciphertext: string
}

/** All that a ghost has sent encrypted into a room, as the homeserver has it. */
export async function megolmUses(
  { registration, url }: Pick<TestSynapse, 'registration' | 'url'>,
  ghost: string,
  room: string,
): Promise<MegolmUse[]> {
  const homeserver = openHomeserver({ ...registration, url, settings: defaultMatrixSettings })
  const uses: MegolmUse[] = []
  for (let from: string | undefined, page = 0; page < 50; page++) {
    const { chunk, end } = await homeserver.messages({ user: ghost }, room, from)
    for (const { sender, type, content } of chunk)
      if (sender === ghost && type === 'm.room.encrypted') uses.push(megolmUse(content as Record<string, unknown>))
    if (end === undefined) return uses
    from = end
  }
  throw new Error('the room has more pages than were read')
}

/** What the content of an encrypted event used up (Megolm specification §Message format: version, 0x08, a varint). */
export function megolmUse(content: Record<string, unknown>): MegolmUse {
  const ciphertext = String(content.ciphertext)
  const bytes = Buffer.from(ciphertext.slice(0, 20), 'base64')
  assert.equal(bytes[1], 0x08)
  let index = 0
  for (let at = 2, shift = 0; ; at++, shift += 7) {
    index |= (bytes[at]! & 0x7f) << shift
    if (!(bytes[at]! & 0x80)) return { key: `${content.session_id} ${index}`, ciphertext }
  }
}
