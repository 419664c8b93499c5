import type { FirstContact, InviteChoices, Target } from '../../src/client/index.ts'
import { type AccountAddress, parseAccountAddress, type Role } from '../../src/identity/index.ts'
import { parseInvite } from './invites.ts'
import { Mistake } from './words.ts'

/** What a line that was typed asks for. */
export type Command =
  | { name: 'say'; text: string }
  | { name: 'reply'; number: number; text: string }
  | { name: 'to'; whom: string }
  | { name: 'ask' | 'add' | 'remove'; whom: string }
  | { name: 'group'; title: string; members: string[] }
  | { name: 'rename'; title: string }
  | { name: 'role'; whom: string; role: Role }
  | { name: 'accept' | 'decline' | 'block' | 'unblock' | 'leave'; room: number | undefined }
  | {
      name:
        | 'allow'
        | 'approve'
        | 'deny'
        | 'address'
        | 'help'
        | 'rooms'
        | 'link'
        | 'devices'
        | 'posture'
        | 'safety'
        | 'members'
        | 'invites'
        | 'quit'
        | 'nothing'
    }
  | { name: 'reach'; network: string; on: boolean | undefined }
  | { name: 'who-may-write'; policy: FirstContact | undefined }
  | { name: 'handle'; handle: string | undefined }
  | { name: 'name'; text: string }
  | { name: 'link-confirm'; code: string }
  | { name: 'unlink'; device: string }
  | { name: 'invite'; choices: InviteChoices }
  | { name: 'revoke'; number: number }
  | { name: 'reissue'; number: number; choices: InviteChoices }
  | { name: 'extend'; number: number | undefined }
  | { name: 'mistake'; explanation: string }

const usage: readonly [form: string, meaning: string][] = [
  ['/to WHOM', 'write to somebody: a handle, a Matrix id like @bob:example.org, or the number of a conversation'],
  ['/rooms', 'conversations and requests, with their numbers'],
  ['/accept [N], /decline [N]', 'answer a request'],
  ['/block [N], /unblock [N]', 'take no more messages from that person, or take them again'],
  ['/leave [N]', 'leave a conversation'],
  ['/reply N TEXT', 'answer the message with that number'],
  ['/group NAME [: WHOM, WHOM …]', 'make a group, of people who have let you write to them, and of Matrix ids'],
  ['/add WHOM, /remove WHOM, /rename NAME', 'change the group that is open'],
  ['/members, /role WHOM owner|admin|member', 'who is in it; what somebody may do in it'],
  ['/posture, /safety', 'who can read this conversation; the number to compare with the other person'],
  ['/ask WHOM', 'ask somebody for their consent to be written to'],
  ['/allow, /deny', 'answer whoever asked for your consent, or waits to come in by a link (/approve)'],
  ['/who-may-write anyone|consent|nobody', 'who may write to you first'],
  ['/reach on|off [NETWORK]', 'whether you can be reached over another network (matrix, when none is named)'],
  ['/handle [NAME|none]', 'show, take or give up the handle by which others find you'],
  ['/address', 'the address of your account, by which the operator finds it when you ask about your data'],
  ['/name TEXT', 'how you are called; seen by those whose conversation you have accepted or begun'],
  ['/devices, /unlink DEVICE', 'the devices of your account; take one out'],
  ['/link, /link-confirm CODE', 'how to link another device; confirm the code that it shows'],
  [
    '/invite [pin:PIN] [ask] [many] [unnamed] [for:3d] [idle:2h] [LABEL]',
    'a link for a guest without an account, who is shown your name unless it is unnamed; ask: you let each one in; idle: how long nothing may be said before it ends; the label is for you alone',
  ],
  [
    '/invites, /revoke N, /reissue N',
    'links for guests; close one and end its chats; another link in the place of one',
  ],
  ['/extend [N]', 'keep the chat with a guest open, or link N'],
  ['/quit', 'end; what is not sent yet waits for the next time'],
]

/** Width of a terminal that nobody has made wider. */
const columns = 80
const indent = 30

export const helpText: readonly string[] = [
  'What does not begin with / is sent to the open conversation. **Bold**, *italics*',
  'and @NAME work; @ calls somebody who is in it.',
  ...usage.flatMap(([form, meaning]) => {
    const [first = '', ...more] = wrapped(meaning, columns - indent)
    const start = `  ${form} `
    const below = [...(start.length > indent ? [first] : []), ...more].map((line) => ' '.repeat(indent) + line)
    return [start.length > indent ? start.trimEnd() : start.padEnd(indent) + first, ...below]
  }),
]

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** As the service takes them (`src/hub/preferences.ts`), which decides. */
const handleForm = /^[a-z](?:[a-z0-9]|[._-](?=[a-z0-9])){2,31}$/
const handleAdvice = 'A handle has 3 to 32 letters and digits, the first a letter; ._- may stand between them.'

const plain = [
  'allow',
  'approve',
  'deny',
  'address',
  'help',
  'rooms',
  'link',
  'devices',
  'posture',
  'safety',
  'members',
  'invites',
  'quit',
] as const
const aboutRoom = ['accept', 'decline', 'block', 'unblock', 'leave'] as const

/** Reads a line. A line that cannot be meant as anything is a `mistake` with the right form. */
export function parseCommand(line: string): Command {
  const text = line.trim()
  if (text === '') return { name: 'nothing' }
  if (!text.startsWith('/')) return { name: 'say', text }
  if (text.startsWith('//')) return { name: 'say', text: text.slice(1) }
  const [, word = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(text) ?? []
  if (isOneOf(plain, word)) return { name: word }
  if (isOneOf(aboutRoom, word)) return rest === '' || number(rest) ? { name: word, room: number(rest) } : wrong(word)
  switch (word) {
    case 'to':
    case 'ask':
    case 'add':
    case 'remove':
      return rest ? { name: word, whom: rest } : wrong(word)
    case 'group': {
      const [title = '', members = ''] = rest.split(/\s*:\s+/, 2)
      const names = members.split(/\s*,\s*/).filter((name) => name !== '')
      return title ? { name: word, title, members: names } : wrong(word)
    }
    case 'rename':
      return rest ? { name: word, title: rest } : wrong(word)
    case 'role': {
      const [, whom = '', role = ''] = /^(.+)\s+(owner|admin|member)$/.exec(rest) ?? []
      return whom ? { name: word, whom, role: role as Role } : wrong(word)
    }
    case 'reply': {
      const [, digits = '', reply = ''] = /^(\d+)\s+([\s\S]+)$/.exec(rest) ?? []
      return reply ? { name: word, number: Number(digits), text: reply } : wrong(word)
    }
    case 'reach': {
      const [, answer, network = 'matrix'] = /^(on|off)?\s*(\S+)?$/.exec(rest) ?? []
      return rest && !answer ? wrong(word) : { name: word, network, on: answer ? answer === 'on' : undefined }
    }
    case 'who-may-write':
      return rest === '' || isOneOf(['anyone', 'consent', 'nobody'] as const, rest)
        ? { name: word, policy: rest === '' ? undefined : (rest as FirstContact) }
        : wrong(word)
    case 'handle':
      if (rest !== '' && !handleForm.test(rest.toLowerCase())) return { name: 'mistake', explanation: handleAdvice }
      return { name: word, handle: rest === '' ? undefined : rest.toLowerCase() }
    case 'name':
      return rest ? { name: word, text: rest } : wrong(word)
    case 'link-confirm':
      return rest ? { name: word, code: rest } : wrong(word)
    case 'unlink':
      return rest ? { name: word, device: rest } : wrong(word)
    case 'invite':
      return { name: word, choices: parseInvite(rest) }
    case 'extend':
      return rest === '' || number(rest) ? { name: word, number: number(rest) } : wrong(word)
    case 'reissue': {
      const [, digits = '', choices = ''] = /^(\d+)\s*(.*)$/.exec(rest) ?? []
      return digits ? { name: word, number: Number(digits), choices: parseInvite(choices) } : wrong(word)
    }
    case 'revoke':
      return /^\d+$/.test(rest) ? { name: word, number: Number(rest) } : wrong(word)
    default:
      return { name: 'mistake', explanation: `There is no command /${word}. /help lists them.` }
  }
}

/** Whom a person means: a Matrix id, an address of the messenger, or a handle (an @ in front of it does no harm). @throws Mistake */
export function parseTarget(whom: string): Target {
  if (whom.startsWith('mimi://')) return { address: addressIn(whom) }
  if (/^@[^:]+:.+$/.test(whom)) return { network: 'matrix', value: whom }
  return { handle: whom.replace(/^@/, '').toLowerCase() }
}

function addressIn(text: string): AccountAddress {
  try {
    return parseAccountAddress(text)
  } catch {
    throw new Mistake('That is not a whole address; one looks like mimi://PROVIDER/u/ and 22 characters.')
  }
}

function wrong(word: string): Command {
  const forms = usage.map(([form]) => form).filter((form) => new RegExp(`/${word}(?![\\w-])`).test(form))
  return { name: 'mistake', explanation: `It is written like this: ${forms.join(', ')}` }
}

function number(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined
}

function isOneOf<const T extends readonly string[]>(list: T, text: string): text is T[number] {
  return list.includes(text)
}
