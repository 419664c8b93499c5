import { ClientError, type Device, type Storage } from '../../src/client/index.ts'
import { mentionMarkdown, textMessage } from '../../src/content/index.ts'
import { fromBase64Url, toBase64Url } from '../../src/crypto/index.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { type Command, helpText, parseCommand, parseTarget } from './commands.ts'
import { invitesAt } from './invites.ts'
import { followNews } from './news.ts'
import { type Note, notes } from './notes.ts'
import { openView } from './view.ts'
import { explain, Mistake, policies, standings } from './words.ts'

/** One person at a terminal: reads lines, prints lines. */
export interface Session {
  /** Does what a line asks for and prints what came of it. False: the person wants to leave. */
  execute(line: string): Promise<boolean>
  /** The person types something. */
  typed(line: string): void
  /** Who writes to whom. */
  prompt(): string
  /** Resolves when nothing that was sent waits for the service any more, or after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void>
}

export interface SessionSettings {
  device: Device
  storage: Storage
  /** How this person is called in the prompt. */
  name: string
  /** Where the service is, http://host:port: links for guests lead there. */
  service: string
  print: (line: string) => void
}

/** The networks that there are bridges to. */
const bridged: readonly string[] = ['matrix']
const ownUnreachable = `You cannot be reached over ${bridged[0]} yourself, so nobody there can answer; /reach on changes that.`

type Actions = { [K in Command['name']]: (command: Extract<Command, { name: K }>) => Promise<void> | void }

/** Follows a device that has not been started yet; start it afterwards, so that nothing is missed. */
export async function openSession({ device, storage, name, service, print }: SessionSettings): Promise<Session> {
  const view = await openView(device, storage, print)
  const news = followNews(device, view)
  const invites = invitesAt(device, service, print)

  const here = (): RoomId => {
    if (!view.current) throw new Mistake('No conversation is open. /to NAME opens one, /rooms lists those you have.')
    return view.current.room
  }
  const chosen = (number: number | undefined): RoomId => {
    if (number === undefined) return here()
    const room = view.rooms.byNumber(number)
    if (!room) throw new Mistake(`There is no conversation ${number}. /rooms lists them.`)
    return room
  }
  const send = async (room: RoomId, text: string, replyTo?: string) => {
    const answered = (await device.room(room))?.standing === 'requested'
    const called = await withMentions(room, text)
    const formatted = called !== text || /[*_`~]/.test(text) ? { markdown: called } : {}
    const answer = replyTo === undefined ? {} : { inReplyTo: fromBase64Url(replyTo) }
    const at = Date.now()
    const sent = await device.send(room, textMessage({ plain: text, ...formatted, ...answer }), {
      within(tx, messageId) {
        const note: Note = { id: toBase64Url(messageId), mine: true, text, at, ...(replyTo ? { replyTo } : {}) }
        news.sent(note.id, at)
        view.numberOf(room, note.id)
        return notes.keepWaiting(tx, note)
      },
    })
    view.waitFor(sent.accepted)
    if (answered) print('   Answering accepts their request: they see your name from now on, and may write on.')
  }
  /** `@NAME` of somebody in the room becomes a link to their account: that is what calls them. */
  const withMentions = async (room: RoomId, text: string): Promise<string> => {
    const form = /(?<=^|\s)@([\p{L}\p{N}_.-]*[\p{L}\p{N}])/gu
    const called = new Map<string, string>()
    for (const [word, name] of text.matchAll(form)) {
      const account = await view.rooms.memberCalled(room, name!).catch(() => undefined)
      if (account) called.set(word, mentionMarkdown(name!, account))
    }
    return text.replace(form, (word) => called.get(word) ?? word)
  }
  const conversationWith = async (whom: string): Promise<RoomId> => {
    const target = parseTarget(whom)
    if ('handle' in target && target.handle === (await device.settings()).handle) throw new Mistake('That is you.')
    try {
      return await device.conversationWith(target)
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'not-reachable') throw error
      for (const { id } of await view.rooms.all()) {
        const name = await view.rooms.nameOf(id)
        if (name.toLowerCase() !== whom.toLowerCase()) continue
        throw new Mistake(
          `Nobody can be reached by that handle. Conversation ${view.rooms.numberOf(id)} is with ${name}.`,
        )
      }
      throw error
    }
  }
  /** What is typed next was meant for somebody who is not there; it must not go to whom was written to before. */
  const closed = (error: unknown): never => {
    const { current } = view
    view.close()
    if (current) print(`   ${current.name} is closed; /to ${view.rooms.numberOf(current.room)} opens it again.`)
    throw error
  }
  const memberIn = async (room: RoomId, whom: string) =>
    (await view.rooms.memberCalled(room, whom)) ?? device.lookUp(parseTarget(whom))
  const unreachable = async () => {
    const { networks } = await device.settings()
    return !bridged.some((network) => networks.includes(network))
  }
  const block = async (room: RoomId, blocked: boolean) => {
    const other = await view.rooms.otherOf(room)
    if (!other) throw new Mistake('There is nobody else in this conversation.')
    await device.block(other, blocked)
    print(
      blocked ? 'Blocked. Nothing reaches you from them; /unblock takes that back.' : 'They can write to you again.',
    )
  }
  const answerConsent = async (granted: boolean) => {
    const asking = news.asking.shift()
    if (!asking) throw new Mistake('Nobody is waiting for your consent.')
    await asking.answer(granted)
    print(`${asking.who} ${granted ? 'may write to you.' : 'was told no.'}`)
  }

  const actions: Actions = {
    nothing() {},
    quit() {},
    mistake: ({ explanation }) => print(explanation),
    help: () => helpText.forEach(print),
    say: ({ text }) => send(here(), text),
    reply({ number, text }) {
      const message = view.byNumber(number)
      if (!message) throw new Mistake(`There is no message [${number}].`)
      return send(message.room, text, message.id)
    },
    async to({ whom }) {
      const byNumber = /^\d+$/.test(whom) ? chosen(Number(whom)) : undefined
      const room = byNumber ?? (await conversationWith(whom).catch(closed))
      if (!byNumber) await storage.transaction((tx) => notes.setLabel(tx, room, whom))
      await view.open(room)
    },
    async group({ title, members }) {
      const accounts = []
      for (const whom of members) accounts.push(await device.lookUp(parseTarget(whom)))
      await view.open(await device.createGroup({ name: title, members: accounts }))
    },
    async add({ whom }) {
      await device.addMembers(here(), [await device.lookUp(parseTarget(whom))])
    },
    remove: async ({ whom }) => device.removeMember(here(), await memberIn(here(), whom)),
    rename: ({ title }) => device.rename(here(), title),
    role: async ({ whom, role }) => device.setRole(here(), await memberIn(here(), whom), role),
    async members() {
      const room = here()
      for (const { address, role, devices } of await device.members(room)) {
        const count = devices.length === 1 ? '1 device' : `${devices.length} devices`
        print(`  ${await view.rooms.personOf(room, address)}${role ? `, ${role}` : ''}, ${count}`)
      }
    },
    async rooms() {
      const all = await view.rooms.all()
      if (all.length === 0) print('There are no conversations yet. /to NAME begins one.')
      for (const { id, standing } of all) {
        // A room in which this device has no leaf (yet) has no posture.
        const alone = (await device.posture(id).catch(() => undefined))?.accounts === 1
        const state = standing === 'accepted' && alone ? ' — the other person has left' : standings[standing]
        print(`  ${view.rooms.numberOf(id)}: ${await view.rooms.nameOf(id)}${state}`)
      }
    },
    async accept({ room }) {
      await device.accept(chosen(room))
      await view.open(chosen(room))
    },
    async decline({ room }) {
      await device.decline(chosen(room))
      print('Declined. They are told, and what they write is refused from now on.')
    },
    block: ({ room }) => block(chosen(room), true),
    unblock: ({ room }) => block(chosen(room), false),
    async leave({ room }) {
      const left = chosen(room)
      await device.leave(left)
      if (left === view.current?.room) view.close()
      print('You left the conversation.')
    },
    async ask({ whom }) {
      const account = await device.lookUp(parseTarget(whom))
      news.asked.set(account, whom)
      await device.requestConsent(account)
      print('They were asked. You will be told what they answer.')
    },
    allow: () => answerConsent(true),
    approve: () => answerConsent(true),
    deny: () => answerConsent(false),
    async reach({ network, on }) {
      if (on && !bridged.includes(network))
        throw new Mistake(`There is no bridge to ${network} here, only to ${bridged.join(', ')}.`)
      if (on !== undefined) await device.setReachable(network, on)
      const { networks } = await device.settings()
      print(`You ${networks.includes(network) ? 'can' : 'cannot'} be reached over ${network}.`)
    },
    async 'who-may-write'({ policy }) {
      if (policy) await device.setFirstContact(policy)
      print(policies[(await device.settings()).firstContact])
    },
    async handle({ handle }) {
      if (handle !== undefined) await device.setHandle(handle === 'none' ? undefined : handle)
      const settings = await device.settings()
      print(settings.handle ? `Others find you as ${settings.handle}.` : 'You have no handle.')
    },
    address: () => print(`Your address is ${device.address}.`),
    async name({ text }) {
      await device.setProfile({ name: text })
      print(`You are called ${text}.`)
    },
    async devices() {
      for (const one of await device.devices()) print(`  ${one.deviceId}  ${one.kind}${one.own ? ', this one' : ''}`)
    },
    async unlink({ device: which }) {
      const [found, ...more] = (await device.devices()).filter((one) => one.deviceId.startsWith(which))
      if (!found || more.length > 0) {
        throw new Mistake('Which one? /devices lists them; the first characters are enough.')
      }
      if (found.kind === 'primary')
        throw new Mistake(
          'That is the first device of the account, which vouches for the others; it cannot be taken out.',
        )
      await device.unlink(found.deviceId)
      print('It is out of your account and out of all its conversations.')
    },
    link() {
      print('On the other device, under a new name: npm run chat -- --as NAME --link')
      print('It shows a code. Type it here, after /link-confirm.')
    },
    async 'link-confirm'({ code }) {
      print(`Linked: ${await device.confirmLink(code)}`)
    },
    invite: ({ choices }) => invites.make(choices),
    invites: () => invites.list(),
    revoke: ({ number }) => invites.revoke(number),
    reissue: ({ number, choices }) => invites.reissue(number, choices),
    extend: ({ number }) => invites.extend(number, here),
    posture: () => view.showPosture(here()),
    async safety() {
      const room = here()
      const groups = (await device.safetyNumber(room)).match(/\d{5}/g) ?? []
      for (let i = 0; i < groups.length; i += 4) print(`  ${groups.slice(i, i + 4).join(' ')}`)
      const edges = (await device.posture(room)).readers.map(({ operator }) => operator)
      const other = await view.rooms.nameOf(room)
      if (edges.length > 0)
        print(`It confirms ${edges.join(', ')}, which speaks for ${other}, and not their own device.`)
      else print(`Compare it with ${other} over another channel: the same digits mean that nobody is in between.`)
    },
  }

  return {
    async execute(line) {
      const command = parseCommand(line)
      try {
        await (actions[command.name] as (command: Command) => Promise<void> | void)(command)
      } catch (error) {
        const own = error instanceof ClientError && error.code === 'not-opted-in' && (await unreachable())
        print(`! ${own ? ownUnreachable : explain(error)}`)
      }
      await view.refresh()
      return command.name !== 'quit'
    },
    typed(line) {
      if (view.current && line !== '' && !line.startsWith('/')) void device.typing(view.current.room).catch(() => {})
    },
    prompt: () => `${name}${view.current ? ` → ${view.current.name}` : ''}> `,
    settled: view.settled,
  }
}
