import { type Signal, signal } from '@preact/signals'
import {
  ClientError,
  type Connection,
  type Device,
  type DeviceOptions,
  type GuestEnd,
  hasDevice,
  joinByInvite,
  type OpenedInvite,
  openDevice,
  openInvite,
  prepareToJoin,
  type Storage,
} from '../../client/index.ts'
import type { RoomId } from '../../identity/index.ts'
import { type Chats, followChats } from '../parts/chats.ts'
import type { Conversation } from '../parts/conversation.ts'
import type { Visit, VisitRecords } from './records.ts'

export type Trouble = 'unreachable' | 'limited' | 'host' | 'nobody' | 'storage' | 'clock' | 'other'
export type NameFault = 'missing' | 'wrong-pin' | 'no-tries' | 'taken'
export type Over = GuestEnd | 'self'

export interface Chat {
  readonly chats: Chats
  readonly conversation: Conversation
  /** The name that this guest has. */
  readonly name: string
}

/** Where somebody with a link stands. Each is one state of the page. */
export type Stage =
  | { at: 'opening' }
  | { at: 'incomplete'; tried: boolean }
  | { at: 'offer'; offer: OpenedInvite }
  | { at: 'name'; offer: OpenedInvite; busy: boolean; fault?: NameFault; name: string }
  | { at: 'waiting'; name: string; draft: string }
  | { at: 'chat'; chat: Chat }
  | { at: 'elsewhere' }
  | { at: 'over'; why: Over }
  /** `waited`: they asked to be let in, and were not. */
  | { at: 'gone'; waited: boolean }
  | { at: 'trouble'; trouble: Trouble }

/** What a visit stands on, so that it can be tried without a browser. */
export interface VisitOptions {
  /** From the address: /g/{invite}. */
  readonly invite: string
  /** A link with this half of it. */
  readonly linkOf: (fragment: string) => string
  /** The half that the address bar had, when it had one. */
  readonly fragment: string
  readonly records: VisitRecords
  readonly connection: Connection
  readonly crypto: DeviceOptions['crypto']
  readonly mls: () => DeviceOptions['mls']
  readonly clock?: () => number
  /** Errors: storage-in-use, storage. */
  readonly openStorage: () => Promise<Storage>
  readonly eraseStorage: () => Promise<void>
  /** Asks another tab to let go of the chat. Resolves when it may have. */
  readonly askOtherTab: () => Promise<void>
  readonly settings?: DeviceOptions['settings']
}

export interface Visiting {
  readonly stage: Signal<Stage>
  /** How the host is called, as far as that is known; changes when the host says so. */
  readonly hostName: Signal<string | undefined>
  begin(): Promise<void>
  /** A link that was pasted. @returns where to go, when it is another one */
  paste(text: string): Promise<string | undefined>
  proceed(): void
  back(): void
  join(name: string, pin: string): Promise<void>
  draft(text: string): void
  stopWaiting(): Promise<void>
  useHere(): Promise<void>
  /** Another tab takes the chat over. */
  letGo(): Promise<void>
  leave(): Promise<void>
  block(): Promise<void>
  close(): Promise<void>
}

const longestName = 64
/** After so long a form is there to be typed in, ms. */
const drawnMs = 50

export function openVisit(options: VisitOptions): Visiting {
  const { invite, records, connection, crypto } = options
  const stage = signal<Stage>({ at: 'opening' })
  const hostName = signal<string | undefined>(undefined)
  let visit: Visit = {}
  let storage: Storage | undefined
  let device: Device | undefined
  let waiting: AbortController | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  let attempt = 0
  let over: Over | undefined
  let preparing: Promise<void> = Promise.resolve()

  const keep = async (changed: Visit) => {
    visit = changed
    await records.put(invite, changed)
  }
  const trouble = (what: Trouble, again?: () => Promise<void>) => {
    stage.value = { at: 'trouble', trouble: what }
    if (!again || what !== 'unreachable') return
    clearTimeout(retry)
    retry = setTimeout(() => void again(), Math.min(30_000, 1000 * 2 ** Math.min(attempt++, 5)))
  }
  const failed = async (error: unknown, again: () => Promise<void>) => {
    const code = error instanceof ClientError ? error.code : 'protocol'
    if (code === 'bad-link') stage.value = { at: 'incomplete', tried: true }
    else if (code === 'not-found') {
      const waited = stage.value.at === 'waiting'
      await forget()
      stage.value = { at: 'gone', waited }
    } else if (code === 'storage-in-use') stage.value = { at: 'elsewhere' }
    else trouble(troubleOf(code), again)
  }
  const forget = async () => {
    visit = {}
    await closeAll()
    await options.eraseStorage()
    await records.delete(invite)
  }
  const closeAll = async () => {
    await preparing
    const closing = device
    device = undefined
    await closing?.close()
    const open = storage
    storage = undefined
    await open?.close()
  }

  const ended = async (reason: GuestEnd) => {
    const why = over ?? reason
    over = why
    // The chat's own database goes; that it was here, and why it is over, stays for whoever comes back. Who leaves leaves nothing.
    await closeAll()
    await options.eraseStorage()
    if (why === 'left') await records.delete(invite)
    else await keep({ ended: why, ...(visit.hostName !== undefined && { hostName: visit.hostName }) })
    stage.value = { at: 'over', why }
  }

  /** The device of this chat, followed from its first event on. */
  const enter = async (opened: Device) => {
    device = opened
    const chats = await followChats(opened, storage!)
    opened.on('ended', (reason) => void setTimeout(() => void ended(reason)))
    const [room] = await opened.rooms()
    if (!room) throw new ClientError('storage')
    const conversation = await chats.open(room.id)
    const nameHost = () => {
      const host = conversation.facts.value.members.find(({ own }) => !own)
      if (host?.profile?.name) hostName.value = host.profile.name
    }
    nameHost()
    conversation.facts.subscribe(nameHost)
    await opened.start()
    const own = conversation.facts.value.members.find((each) => each.own)
    stage.value = { at: 'chat', chat: { chats, conversation, name: visit.name ?? own?.profile?.name ?? '' } }
  }

  const deviceOptions = (): DeviceOptions => ({
    ...{ connection, storage: storage!, crypto, mls: options.mls() },
    ...(options.clock && { clock: options.clock }),
    ...(options.settings && { settings: options.settings }),
  })

  const link = () => options.linkOf(visit.fragment ?? '')

  const look = async (): Promise<void> => {
    try {
      const offer = await openInvite({ connection, crypto }, link())
      attempt = 0
      hostName.value = offer.hostName
      if (offer.hostName !== visit.hostName)
        await keep({ ...visit, ...(offer.hostName && { hostName: offer.hostName }) })
      stage.value = { at: 'offer', offer }
    } catch (error) {
      await failed(error, look)
    }
  }

  /** What takes time and needs no name is done while it is typed, after the form has been drawn. */
  const prepare = async () => {
    await new Promise((resolve) => setTimeout(resolve, drawnMs))
    storage ??= await options.openStorage()
    await prepareToJoin({ storage, crypto, mls: options.mls() }, link())
  }

  const come = async (name: string, pin: string | undefined): Promise<void> => {
    waiting = new AbortController()
    const asked = { name, ...(pin !== undefined && { pin }) }
    try {
      await preparing
      storage ??= await options.openStorage()
      await keep({ ...visit, asked })
      const made = await joinByInvite({
        ...deviceOptions(),
        ...asked,
        link: link(),
        ...(visit.hostName !== undefined && { hostName: visit.hostName }),
        signal: waiting.signal,
        onWaiting() {
          stage.value = { at: 'waiting', name, draft: visit.draft ?? '' }
        },
      })
      const { fragment: _, asked: __, draft = '', ...kept } = visit
      await keep({ ...kept, name })
      await enter(made)
      if (draft && stage.value.at === 'chat') (stage.value as { chat: Chat }).chat.conversation.setDraft(draft)
    } catch (error) {
      const code = error instanceof ClientError ? error.code : 'protocol'
      if (code === 'closed' && waiting.signal.aborted) return
      if (code === 'wrong-pin') return wrongPin(name)
      if (code === 'misleading-name') return misleading(name)
      await failed(error, () => come(name, pin))
    }
  }

  const wrongPin = async (name: string) => {
    const { asked: _, ...kept } = visit
    await keep(kept)
    try {
      const offer = await openInvite({ connection, crypto }, link())
      stage.value = { at: 'name', offer, busy: false, fault: 'wrong-pin', name }
    } catch (error) {
      // The last try: from now on it is a link that opens nothing.
      if (!(error instanceof ClientError) || error.code !== 'not-found') return failed(error, look)
      const before = stage.value
      const offer = 'offer' in before ? before.offer : undefined
      if (offer) stage.value = { at: 'name', offer: { ...offer, pinTries: 0 }, busy: false, fault: 'no-tries', name }
      else stage.value = { at: 'gone', waited: false }
    }
  }

  const misleading = async (name: string) => {
    const { asked: _, ...kept } = visit
    await keep(kept)
    const before = stage.value
    if (before.at === 'name') stage.value = { ...before, busy: false, fault: 'taken', name }
    else await look()
  }

  const begin = async (): Promise<void> => {
    try {
      const known = await records.get(invite)
      visit = known ?? {}
      hostName.value = visit.hostName
      if (visit.ended) {
        stage.value = { at: 'over', why: visit.ended as Over }
        return
      }
      if (options.fragment && visit.name === undefined) await keep({ ...visit, fragment: options.fragment })
      if (visit.name === undefined && !visit.fragment) {
        stage.value = { at: 'incomplete', tried: false }
        return
      }
      if (visit.name === undefined && !visit.asked) return await look()
      storage = await options.openStorage()
      if (await hasDevice(storage)) return await enter(await openDevice(deviceOptions()))
      if (visit.asked) return await come(visit.asked.name, visit.asked.pin)
      await forget()
      stage.value = { at: 'gone', waited: false }
    } catch (error) {
      await failed(error, begin)
    }
  }

  return {
    stage,
    hostName,
    begin,

    async paste(text) {
      const [, id = '', fragment = ''] = /\/g\/([\w-]{22})\/?#([\w-]+)$/.exec(text.replaceAll(/\s/g, '')) ?? []
      if (!fragment) {
        stage.value = { at: 'incomplete', tried: true }
        return undefined
      }
      if (id !== invite) {
        await records.put(id, { ...(await records.get(id)), fragment })
        return `/g/${id}`
      }
      await keep({ ...visit, fragment })
      await look()
      return undefined
    },

    proceed() {
      if (stage.value.at !== 'offer') return
      stage.value = { at: 'name', offer: stage.value.offer, busy: false, name: '' }
      // What fails here fails again, and is told, when the name is sent off.
      preparing = prepare().catch(() => {})
    },
    back() {
      if (stage.value.at === 'name') stage.value = { at: 'offer', offer: stage.value.offer }
    },

    async join(name, pin) {
      const now = stage.value
      if (now.at !== 'name' || now.busy) return
      const chosen = name.trim().slice(0, longestName)
      if (!chosen) {
        stage.value = { ...now, fault: 'missing', name }
        return
      }
      const { fault: _, ...rest } = now
      stage.value = { ...rest, busy: true, name: chosen }
      await come(chosen, now.offer.pin ? pin : undefined)
    },

    draft(text) {
      if (stage.value.at !== 'waiting') return
      stage.value = { ...stage.value, draft: text }
      void keep({ ...visit, draft: text })
    },
    async stopWaiting() {
      waiting?.abort()
      const { asked: _, ...kept } = visit
      await closeAll()
      await keep(kept)
      await look()
    },

    async useHere() {
      stage.value = { at: 'opening' }
      await options.askOtherTab()
      await begin()
    },
    async letGo() {
      const { at } = stage.value
      // Nothing has begun: what was prepared is let go of, and may be opened again.
      if (at === 'offer' || (at === 'name' && !stage.value.busy)) return closeAll()
      if (at !== 'chat' && at !== 'waiting') return
      waiting?.abort()
      stage.value = { at: 'elsewhere' }
      await closeAll()
    },

    async leave() {
      if (stage.value.at !== 'chat') return
      await endWith('left')
    },
    async block() {
      if (stage.value.at !== 'chat') return
      await endWith('self')
    },
    async close() {
      clearTimeout(retry)
      waiting?.abort()
      await closeAll()
    },
  }

  /** Ends the chat from this side. What is here is erased in any case, also without a connection. */
  async function endWith(why: Over): Promise<void> {
    const { conversation } = (stage.value as { chat: Chat }).chat
    over = why
    const room: RoomId = conversation.id
    const host = conversation.facts.value.members.find(({ own }) => !own)
    const told = async () => {
      if (why === 'self' && host) await device?.block(host.address)
      await device?.leave(room)
    }
    await Promise.race([told().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 5_000))])
    if (stage.value.at === 'chat') await ended('left')
  }
}

function troubleOf(code: string): Trouble {
  if (code === 'disconnected' || code === 'timeout' || code === 'unavailable') return 'unreachable'
  if (code === 'rate-limited') return 'limited'
  if (['wrong-host', 'old-manifest', 'not-in-manifest', 'bad-identity', 'provider-changed'].includes(code))
    return 'host'
  if (code === 'no-key-packages') return 'nobody'
  if (code === 'wrong-clock') return 'clock'
  return code === 'storage' ? 'storage' : 'other'
}
