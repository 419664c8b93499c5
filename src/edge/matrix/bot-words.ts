import { describePosture } from '../../identity/index.ts'
import type { Portal } from '../portals/index.ts'

/** UTF-16 units of a status: an event has 65,536 bytes at most, and a third of that is lost to encryption. */
const longestStatus = 12_000

/** What the bot says. `botName` is not said: people see whom they write to. */
export const botWords = {
  help: (network: string) => ({
    body: [
      `I connect you with people on ${network}. What I understand:`,
      '',
      'start <handle>: ask somebody to write with you. You get an invitation to an encrypted room.',
      'status: your conversations, and who can read them.',
      'block <handle or number>: nothing reaches you from them any more. unblock takes it back.',
      'leave <handle or number>: end a conversation.',
      'help: this text.',
      '',
      'You can also invite a person found in your app into an encrypted room. People decide for themselves whether they can be reached over Matrix.',
    ].join('\n'),
    formatted_body:
      `<p>I connect you with people on ${escaped(network)}. What I understand:</p><ul>` +
      '<li><code>start &lt;handle&gt;</code>: ask somebody to write with you. You get an invitation to an encrypted room.</li>' +
      '<li><code>status</code>: your conversations, and who can read them.</li>' +
      '<li><code>block &lt;handle or number&gt;</code>: nothing reaches you from them any more. <code>unblock</code> takes it back.</li>' +
      '<li><code>leave &lt;handle or number&gt;</code>: end a conversation.</li>' +
      '<li><code>help</code>: this text.</li></ul>' +
      '<p>You can also invite a person found in your app into an encrypted room. People decide for themselves whether they can be reached over Matrix.</p>',
  }),
  unknown: (command: string) => `I do not know "${command}". Write "help" to see what I understand.`,
  undecryptable: () => 'I could not read your message: its key did not arrive. Please send it again.',
  handleMissing: (command: string) =>
    `Whom? Write "${command}" and their handle, for instance: ${command} ana. A handle is the name they gave themselves on the messenger.`,
  notFound: (text: string) =>
    `"${text}" cannot be reached, or does not wish to be. Check the spelling; whoever wants to be found over Matrix has to switch that on.`,
  noSuchConversation: (text: string) =>
    `You have no conversation "${text}". Write "status" to see them with their numbers.`,
  started: (text: string) => `I asked ${text} and invited you to an encrypted room. What you write there reaches them.`,
  resumed: (text: string) => `You have a room with ${text} already. I invited you there if you had left.`,
  asked: (text: string) =>
    `${text} wants to be asked before anyone writes. I asked. When they agree, I invite you to an encrypted room.`,
  none: () => 'You have no conversations. "start" and a handle begins one.',
  status(lines: readonly string[]) {
    const shown: string[] = []
    let length = 0
    for (const line of lines) {
      length += line.length
      if (length > longestStatus) break
      shown.push(line)
    }
    const more = lines.length - shown.length
    return ['Your conversations:', ...shown, ...(more > 0 ? [`And ${more} more.`] : [])].join('\n')
  },
  blocked: (name: string) =>
    `${name} is blocked. Nothing reaches you from them any more. They are told only if they write to you.`,
  unblocked: (name: string) => `${name} is not blocked any more. "start" begins a conversation anew.`,
  goesOn: (name: string) =>
    `${name} is not blocked any more. Your conversation goes on: I invited you to a room of its own.`,
  stillBlocked: (name: string) => `You blocked ${name}. Write "unblock ${name}" first.`,
  notBlocked: (name: string) => `${name} was not blocked.`,
  left: (name: string) => `You left the conversation with ${name}.`,
  fault: () => 'That did not work, and nothing was changed. Try again in a few minutes.',
} as const

const states: Record<Portal['state'], string> = {
  wanted: 'they were asked whether you may write',
  requested: 'they have not answered yet',
  offered: 'they would like to write to you; join the room to accept',
  open: 'open',
  ended: 'ended',
}

/** One line of the status. */
export function statusLine(
  portal: Portal,
  { number, host, away }: { number: number; host: string; away: boolean },
): string {
  const name = portal.name ?? 'somebody who has not given a name'
  const state = portal.endedBecause === 'blocked-here' ? 'blocked' : states[portal.state]
  const posture =
    portal.posture === undefined || portal.state !== 'open'
      ? ''
      : ` ${describePosture(JSON.parse(portal.posture), { other: name, host })}`
  const reach = away && portal.state !== 'ended' ? ' Cannot be reached: your last message was refused.' : ''
  return `${number}. ${name}: ${state}.${reach}${posture}`
}

const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
