import { type Signal, signal } from '@preact/signals'
import {
  ClientError,
  type Connection,
  type Device,
  type DeviceOptions,
  hasDevice,
  openDevice,
  registerPrimary,
  type Storage,
  startLink,
} from '../../client/index.ts'
import type { RoomId } from '../../identity/index.ts'
import { type Chats, followChats } from '../parts/chats.ts'
import type { Conversation } from '../parts/conversation.ts'

export type Fault = 'name' | 'unreachable' | 'clock' | 'other'

/** An account that is open in this browser. */
export interface Home {
  readonly device: Device
  readonly chats: Chats
  /** By room; those that a person sees, which leaves out what devices of one account say among themselves. */
  readonly conversations: Signal<ReadonlyMap<RoomId, Conversation>>
  /** Counts up when something about invitations has changed. */
  readonly invitesChanged: Signal<number>
  /** Somebody came without a link of this account that is open, and was kept out: the provider may have brought them. */
  readonly keptOut: Signal<boolean>
}

export type Stage =
  | { at: 'opening' }
  | { at: 'welcome'; busy: boolean; fault?: Fault }
  | { at: 'linking'; code: string }
  | { at: 'home'; home: Home }
  | { at: 'elsewhere' }
  | { at: 'unlinked' }

export interface ClientOptions {
  readonly connection: Connection
  readonly crypto: DeviceOptions['crypto']
  readonly mls: DeviceOptions['mls']
  readonly clock?: () => number
  readonly openStorage: () => Promise<Storage>
  readonly eraseStorage: () => Promise<void>
  /** An access token for the account of that name. Errors: TypeError when the name is none, or nobody answers. */
  readonly tokenFor: (name: string) => Promise<string>
}

export interface Client {
  readonly stage: Signal<Stage>
  begin(): Promise<void>
  register(name: string): Promise<void>
  link(): Promise<void>
  stopLinking(): void
  /** Nothing of the account stays in this browser. */
  erase(): Promise<void>
}

/** The form that the trial issuer takes. */
const nameForm = /^[a-z0-9][a-z0-9._-]{0,31}$/
/** How many handles are tried before a person has to choose one. */
const handleTries = 20

export function openClient(options: ClientOptions): Client {
  const stage = signal<Stage>({ at: 'opening' })
  let storage: Storage | undefined
  let cancel: (() => void) | undefined
  const deviceOptions = async (): Promise<DeviceOptions> => {
    storage ??= await options.openStorage()
    const { connection, crypto, mls, clock } = options
    return { connection, crypto, mls, storage, ...(clock && { clock }) }
  }

  const enter = async (device: Device) => {
    const chats = await followChats(device, storage!)
    const conversations = signal<ReadonlyMap<RoomId, Conversation>>(new Map())
    const invitesChanged = signal(0)
    const keptOut = signal(false)
    device.on('refused', ({ messageId, error }) => {
      if (!messageId && error.code === 'not-invited') keptOut.value = true
    })
    device.on('unlinked', () => {
      stage.value = { at: 'unlinked' }
    })
    device.on('guest', () => {
      invitesChanged.value++
    })
    chats.rooms.subscribe((rooms) => {
      invitesChanged.value++
      for (const { id, kind } of rooms) {
        if (kind === 'self' || conversations.value.has(id)) continue
        void chats.open(id).then((conversation) => {
          conversations.value = new Map([...conversations.value, [id, conversation]])
        })
      }
    })
    await device.start()
    stage.value = { at: 'home', home: { device, chats, conversations, invitesChanged, keptOut } }
    return device
  }

  const begin = async () => {
    stage.value = { at: 'opening' }
    try {
      const made = await deviceOptions()
      if (await hasDevice(made.storage)) await enter(await openDevice(made))
      else stage.value = { at: 'welcome', busy: false }
    } catch (error) {
      const code = error instanceof ClientError ? error.code : 'protocol'
      if (code === 'storage-in-use') stage.value = { at: 'elsewhere' }
      else if (code === 'unlinked') stage.value = { at: 'unlinked' }
      else stage.value = { at: 'welcome', busy: false, fault: 'other' }
    }
  }

  return {
    stage,
    begin,

    async register(typed) {
      const name = typed.trim().toLowerCase()
      if (!nameForm.test(name)) {
        stage.value = { at: 'welcome', busy: false, fault: 'name' }
        return
      }
      stage.value = { at: 'welcome', busy: true }
      try {
        const accessToken = await options.tokenFor(name)
        const device = await enter(await registerPrimary({ ...(await deviceOptions()), accessToken }))
        await device.setProfile({ name: name.charAt(0).toUpperCase() + name.slice(1) })
        await takeHandle(device, name)
      } catch (error) {
        if ((stage.value as Stage).at === 'home') return // the account is there; what is missing can be set in its settings
        const code = error instanceof ClientError ? error.code : 'protocol'
        const away = error instanceof TypeError || code === 'disconnected' || code === 'timeout'
        const fault = away ? 'unreachable' : code === 'wrong-clock' ? 'clock' : 'other'
        stage.value = { at: 'welcome', busy: false, fault }
      }
    },

    async link() {
      const linking = startLink(await deviceOptions())
      cancel = linking.cancel
      stage.value = { at: 'linking', code: linking.code }
      try {
        await enter(await linking.completed)
      } catch {
        if (stage.value.at === 'linking') stage.value = { at: 'welcome', busy: false, fault: 'other' }
      }
    },
    stopLinking() {
      stage.value = { at: 'welcome', busy: false }
      cancel?.()
    },

    async erase() {
      const open = storage
      storage = undefined
      await open?.close()
      await options.eraseStorage()
      stage.value = { at: 'welcome', busy: false }
    },
  }
}

/** The name as a handle, with a number behind it when somebody has it. */
async function takeHandle(device: Device, name: string): Promise<void> {
  for (let number = 1; number <= handleTries; number++) {
    try {
      return await device.setHandle(number === 1 ? name : `${name}${number}`)
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'handle-taken') throw error
    }
  }
}
