import type { Device, ReceivedMessage } from '../../src/client/index.ts'
import { readOutcome, readStatus, readText } from '../../src/content/index.ts'

/** What a messenger device hears, by kind. */
export interface HeardFromMatrix {
  readonly messages: ReceivedMessage[]
  readonly texts: string[]
  readonly outcomes: { outcome: string; code: string; messageId: string }[]
  /** Ids of messages that were reported as delivered. */
  readonly delivered: string[]
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export function hear(device: Device): HeardFromMatrix {
  const heard: HeardFromMatrix = { messages: [], texts: [], outcomes: [], delivered: [] }
  device.on('message', (message) => {
    const { content } = message
    const outcome = readOutcome(content)
    if (outcome) heard.outcomes.push({ ...outcome, messageId: hex(outcome.messageId) })
    for (const { messageId, status } of readStatus(content) ?? []) {
      if (status === 'delivered') heard.delivered.push(hex(messageId))
    }
    const text = readText(content)
    if (!text || message.own) return
    heard.messages.push(message)
    heard.texts.push(text.plain)
  })
  return heard
}
