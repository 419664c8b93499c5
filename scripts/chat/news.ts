import type { Device, GroupChange, Invite, ReceivedMessage, StorageTx } from '../../src/client/index.ts'
import { ContentError, mentionsIn, readOutcome, readStatus, readText } from '../../src/content/index.ts'
import { toBase64Url } from '../../src/crypto/index.ts'
import type { AccountAddress, RoomId } from '../../src/identity/index.ts'
import { type Note, notes } from './notes.ts'
import { shortName } from './rooms.ts'
import type { View } from './view.ts'
import { describeOutcome, explainRefusal } from './words.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

interface Asking {
  who: string
  answer(granted: boolean): Promise<void>
}

/** What the commands have to know of what came in. */
export interface News {
  /** Who waits for an answer to their asking, the oldest first. */
  readonly asking: Asking[]
  /** How whoever was asked for their consent was called then. */
  readonly asked: Map<AccountAddress, string>
  /** A message was sent at this time, by this machine's clock: its receipts say how long they took. */
  sent(id: string, at: number): void
}

/** Prints what happens to a device, and keeps its messages. */
export function followNews(device: Device, view: View): News {
  const asking: Asking[] = []
  const asked = new Map<AccountAddress, string>()
  const sentAt = new Map<string, number>()
  // Which groups this device is in, for handlers that may not ask the device.
  const groups = new Set<RoomId>(view.groups)
  const declined = new Set<RoomId>()
  const { print, later } = view
  const took = (id: string) => {
    const at = sentAt.get(id)
    return at === undefined ? '' : ` (${Date.now() - at} ms)`
  }

  /** A report that cannot be read is passed over: a handler that throws would be given the message again and again. */
  const reports = (message: ReceivedMessage): void => {
    try {
      tell(message)
    } catch (error) {
      if (!(error instanceof ContentError)) throw error
    }
  }
  const tell = (message: ReceivedMessage): void => {
    const number = (id: string) => view.numberOf(message.room, id)
    for (const { messageId, status } of readStatus(message.content) ?? []) {
      const id = toBase64Url(messageId)
      const time = took(id)
      if (status === 'delivered' || status === 'read') later(() => print(`  ✓✓ [${number(id)}] ${status}${time}`))
    }
    const outcome = readOutcome(message.content)
    if (outcome) later(() => print(`  ! [${number(toBase64Url(outcome.messageId))}] ${describeOutcome(outcome)}`))
  }

  const received = async (message: ReceivedMessage, tx: StorageTx): Promise<void> => {
    if (!message.own) reports(message)
    const text = readText(message.content)
    if (!text) return
    const { inReplyTo } = message.content
    const inGroup = groups.has(message.room) && !message.own
    const note: Note = {
      id: toBase64Url(message.messageId),
      mine: message.own,
      text: withoutTargets(text.markdown ?? text.plain),
      at: message.timestampMs,
      ...(inGroup ? { sender: message.sender } : {}),
      ...(inReplyTo ? { replyTo: toBase64Url(inReplyTo) } : {}),
    }
    await notes.add(tx, message.room, message.seq, note)
    later(() => view.showMessage(message.room, note))
    if (message.own) return
    if (mentionsIn(message.content).includes(device.address)) later(() => print('  @ That was meant for you.'))
    later(() => seen(message))
  }

  /** What is shown in the open conversation has been read. The first that writes is opened. */
  const seen = async ({ room, messageId }: ReceivedMessage): Promise<void> => {
    const { standing, kind } = (await device.room(room)) ?? {}
    if (standing !== 'accepted') return
    if (!view.current && kind !== 'group') await view.open(room)
    if (view.current?.room === room) await device.markRead(room, messageId)
  }

  device.on('message', received)
  device.on('typing', ({ room, account, on }) => {
    if (!on || view.current?.room !== room) return
    later(async () => print(`  … ${await view.rooms.personOf(room, account)} is typing`))
  })
  device.on('accepted', async ({ room, seq, timestampMs, messageId }, tx) => {
    const id = toBase64Url(messageId)
    const time = took(id)
    const note = await notes.place(tx, room, seq, timestampMs, id)
    if (!note) return
    later(async () => {
      const { kind, inviter, answered, otherStanding } = (await device.room(room)) ?? {}
      // Until then nothing more can be said of it: whether it arrived is the other one's to tell.
      const waits = kind === 'direct' && inviter === undefined && !answered && otherStanding === undefined
      print(`  ✓ [${view.numberOf(room, id)}] sent${time}${waits ? ', waits until they accept' : ''}`)
    })
  })
  device.on('refused', async ({ room, messageId, error }, tx) => {
    if (!messageId) return later(() => print(`! ${error.explanation}`))
    const id = toBase64Url(messageId)
    // What was sent by itself, as a receipt, is not what a person waits for.
    if (!room || !(await notes.forgetWaiting(tx, id))) return
    later(async () => {
      const { blocked, networks } = await device.settings()
      const other = await view.rooms.otherOf(room)
      // Of a conversation that is over there is nothing more to ask.
      const { readers } = await device.posture(room).catch(() => ({ readers: [] }))
      const known = {
        blocked: other !== undefined && blocked.includes(other),
        unreachableOver: readers.find(({ network }) => !networks.includes(network))?.network,
      }
      print(`! [${view.numberOf(room, id)}] was not delivered. ${explainRefusal(error, known)}`)
    })
  })
  device.on('room', ({ id, kind, joined, standing, otherStanding, inviter, name }) => {
    if (kind === 'direct' && otherStanding === 'declined' && !declined.has(id)) {
      declined.add(id)
      later(async () => print(`${await view.rooms.nameOf(id)} does not wish to talk to you.`))
    }
    if (kind !== 'group') return
    const fresh = joined && !groups.has(id)
    if (joined) groups.add(id)
    else groups.delete(id)
    if (!fresh || standing !== 'accepted' || !inviter || inviter === device.address) return
    later(async () => {
      const number = view.rooms.numberOf(id)
      const who = await view.rooms.personOf(id, inviter)
      print(`${who} took you into the group ${name}: /to ${number} opens it, /leave ${number} leaves it.`)
    })
  })
  device.on('group', (change) => later(() => showChange(view, change)))
  /** " by the link flat viewing", of a link that has a label. */
  const byLink = async (found: (invite: Invite) => boolean) => {
    const label = (await device.invites().catch(() => [])).find(found)?.label
    return label ? ` by the link ${label}` : ''
  }
  device.on('request', ({ id, kind }) => {
    const number = view.rooms.numberOf(id)
    const answers = `/accept ${number}, /decline ${number} or /block ${number}`
    if (kind === 'guest')
      return later(async () => {
        const by = await byLink(({ chats }) => chats.some(({ room }) => room === id))
        print(`A guest came${by}: ${answers}.`)
      })
    later(() => print(`Somebody would like to write to you. They see nothing of you before you answer: ${answers}.`))
  })
  device.on('posture', ({ room, posture, previous }) => {
    if (!previous) return
    later(async () => {
      if (posture.accounts === 1) return print(`${await view.rooms.nameOf(room)} has left the conversation.`)
      print(`Who can read the conversation with ${await view.rooms.nameOf(room)} has changed:`)
      await view.showPosture(room)
    })
  })
  device.on('consent', ({ account, state }) => {
    if (state === 'requested')
      asking.push({ who: shortName(account), answer: (granted) => device.answerConsent(account, granted) })
    const words = {
      requested: 'asks for your consent to write to you: /allow or /deny.',
      granted: 'may be written to now.',
      denied: 'does not wish to be written to.',
    }
    later(async () => {
      const room = (await device.rooms()).find(({ other }) => other === account)
      // Whoever joins a conversation consents to it, which the conversation itself shows.
      if (state === 'granted' && room) return
      const name = room ? await view.rooms.nameOf(room.id) : (asked.get(account) ?? shortName(account))
      const advice = state === 'granted' ? ` /to ${asked.get(account) ?? 'NAME'} begins.` : ''
      print(`${name} ${words[state]}${advice}`)
    })
  })
  device.on('guest', ({ name, misleading, ...guest }) => {
    const who = name === undefined ? `A guest${misleading ? ' under a misleading name' : ''}` : `${name} (Guest)`
    asking.push({ who, answer: (granted) => device.answerGuest(guest, granted) })
    later(async () => {
      const by = await byLink(({ id }) => id === guest.invite)
      print(`${who} came${by || ' by a link of yours'} and waits to be let in: /approve or /deny.`)
    })
  })
  device.on('ending', ({ room, leftMs }) => {
    if (leftMs > dayMs) return
    const hours = Math.ceil(leftMs / hourMs)
    const left = hours === 1 ? 'an hour' : `${hours} hours`
    later(async () =>
      print(`The chat with ${await view.rooms.nameOf(room)} ends in ${left} unless something is said: /extend.`),
    )
  })
  followState(device, view)
  return { asking, asked, sent: (id, at) => void sentAt.set(id, at) }
}

/** A mention as it is read: its target, an address, is nothing to look at. */
const withoutTargets = (markdown: string) => markdown.replace(/\[(@[^\]\n]*)\]\(mimi:[^)\s]*\)/g, '$1')

/** What became of a group, a line for each change. */
async function showChange({ rooms, print }: View, change: GroupChange): Promise<void> {
  const name = (account: AccountAddress) => rooms.personOf(change.room, account)
  const by = await name(change.by)
  const at = `(${rooms.numberOf(change.room)})`
  for (const account of change.added) print(`${at} ${by} added ${await name(account)}.`)
  for (const account of change.removed) print(`${at} ${by} removed ${await name(account)}.`)
  for (const account of change.left) print(`${at} ${await name(account)} left.`)
  if (change.name !== undefined) print(`${at} ${by} called the group ${change.name}.`)
  for (const { account, role } of change.roles) print(`${at} From now on ${await name(account)}: ${role}.`)
}

/** The device's own fortunes. */
function followState(device: Device, { print, later }: View): void {
  let online: boolean | undefined
  device.on('online', (now) => {
    if (online === false && now) later(() => print('Connected again.'))
    if (online && !now) later(() => print('The service is away. What you write waits until it is back.'))
    online = now
  })
  device.on('gap', () => later(() => print('! This device was away for long: messages before this may be missing.')))
  device.on('unlinked', () =>
    later(() => print('! This device was taken out of its account. It receives nothing any more.')),
  )
  device.on('undecryptable', ({ error }) => later(() => print(`! ${error.explanation}`)))
  device.on('fault', ({ code, explanation }) => {
    if (code !== 'closed') later(() => print(`! ${explanation}`))
  })
}
