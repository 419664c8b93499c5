import type { Asker, Entry, Hub, News, WelcomeEntry } from '../hub/index.ts'
import { type Body, chatEnding, toEntryKind, toRoomKind, toStanding } from './frames.ts'
import { openPositions } from './positions.ts'
import type { GatewaySettings } from './settings.ts'

export interface CourierOptions {
  hub: Hub
  asker: Asker
  settings: GatewaySettings
  /** Entries that may be under way. */
  window: number
  send(event: Body): void
  /** Bytes that wait in the pipe. */
  buffered(): number
  onFault(error: unknown): void
  /** Milliseconds since the epoch. */
  clock(): number
  /** A message of another device was acknowledged; `latencyMs` since it was taken, undefined when it waited for the device. */
  onDelivered(latencyMs: number | undefined): void
}

/** Rooms read from the database at once when a device comes back. */
const roomsAtOnce = 256

/**
 * Brings one device what waits for it and then what is new, never more at once than its window and its pipe take.
 * Welcomes go before entries, entries of a room in order, rooms in turn. It remembers only what is under way: what a
 * device has is in the database.
 */
export function openCourier(options: CourierOptions) {
  const { hub, asker, settings, send } = options
  const positions = openPositions()
  const rooms = new Set<number>()
  const standings = new Set<number>()
  /** Rooms whose end is to be spoken of; undefined: all that end soon, which is looked at first. */
  const endings = new Set<number | undefined>([undefined])
  let welcomes = true
  let consents = true
  let lowSupply = false
  /** Rooms after this one are still to be looked at; undefined when all have been. */
  let scanned: number | undefined = 0
  let caughtUp = false
  let consentsSince = 0
  /** What was told of consents that may be read again, with their times. */
  const toldConsents = new Map<string, number>()
  const toldGuests = new Set<string>()

  let running = false
  let again = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  const pump = () => {
    again = true
    if (running || stopped || timer) return
    running = true
    run()
      .catch((error: unknown) => {
        options.onFault(error)
        // What was lost by the fault is found by looking everywhere.
        scanned = 0
        endings.add(undefined)
        welcomes = consents = true
        later(settings.faultMs)
      })
      .finally(() => {
        running = false
        if (again) pump()
      })
  }
  const later = (ms: number) => {
    timer ??= setTimeout(() => {
      timer = undefined
      pump()
    }, ms)
    timer.unref()
  }
  const free = () => options.window - positions.underWay

  /** One step at a time; true while there may be more to do now. */
  const run = async () => {
    while (again && !stopped) {
      again = false
      while (!stopped && (await step()));
    }
  }

  const step = async (): Promise<boolean> => {
    if (options.buffered() > settings.pauseBytes) {
      later(settings.pauseMs)
      return false
    }
    if (standings.size > 0) return sendStandings()
    if (endings.size > 0) return sendEndings()
    if (consents) return sendConsents()
    if (lowSupply) return sendSupply()
    if (free() <= 0) return false
    if (welcomes) {
      await sendWelcomes()
      return true
    }
    const [room] = rooms
    if (room !== undefined) return sendEntries(room)
    if (scanned !== undefined) return scan(scanned)
    if (!caughtUp) {
      caughtUp = true
      send({ case: 'caughtUp', value: {} })
    }
    return false
  }

  const scan = async (after: number) => {
    const found = await hub.roomsWithNews(asker.device, after, roomsAtOnce)
    for (const room of found) rooms.add(room)
    // A room that is new since the Welcomes were read has its own: no entry goes before it.
    if (found.length > 0) welcomes = true
    scanned = found.length < roomsAtOnce ? undefined : found.at(-1)
    return true
  }

  const sendEntries = async (room: number) => {
    // Taken out first: what comes while we read puts it in again.
    rooms.delete(room)
    const after = positions.sentOf(room)
    const { entries, more, unread } = await hub.readRoom(asker.device, room, after, positions.welcomes)
    if (stopped) return false
    // Another process may tell of the entries before that of the room's commit tells of its Welcome.
    if (unread && (await sendWelcomes())) {
      rooms.add(room)
      return true
    }
    if (stopped) return false
    const taken = entries.slice(0, free())
    for (const entry of taken) {
      const counts = entry.kind === 'message' && !entry.own
      // What waited while the device was away says nothing about how fast we are.
      positions.sent(room, entry.room, { seq: entry.seq, counts, at: caughtUp ? entry.at : undefined })
      send(deliver(entry))
    }
    if (more || taken.length < entries.length) rooms.add(room)
    return true
  }

  /** @returns whether there were any */
  const sendWelcomes = async (): Promise<boolean> => {
    welcomes = false
    const found = await hub.readWelcomes(asker.device, positions.welcomes)
    if (stopped) return false
    for (const entry of found.slice(0, free())) {
      positions.sentWelcome(entry.no)
      send(welcome(entry))
    }
    if (found.length > 0) welcomes = true
    return found.length > 0
  }

  const sendStandings = async () => {
    const [room] = standings
    standings.delete(room!)
    for (const news of await hub.readStandings(asker, room!)) {
      const { account, kind, standing } = news
      const value = { room: news.room, account, standing: toStanding(standing), kind: toRoomKind(kind) }
      if (!stopped) send({ case: 'roomUpdated', value })
    }
    return true
  }

  const sendEndings = async () => {
    const [room] = endings
    endings.delete(room)
    for (const ending of await hub.readEndings(asker, room))
      if (!stopped) send({ case: 'chatEnding', value: chatEnding(ending, options.clock()) })
    return true
  }

  const sendConsents = async () => {
    consents = false
    // What was dated earlier may be committed later: it is looked for a while longer, and told once.
    const since = consentsSince - settings.consentOverlapMs
    const { requests, answers } = await hub.readConsents(asker, since)
    if (stopped) return false
    for (const [key, at] of toldConsents) if (at <= since) toldConsents.delete(key)
    const events = [
      ...requests.map(({ account, at }) => ({
        at,
        key: `${account} asks ${at}`,
        event: { case: 'consentRequested', value: { account } } as const,
      })),
      ...answers.map(({ account, granted, at }) => ({
        at,
        key: `${account} ${granted} ${at}`,
        event: { case: 'consentAnswered', value: { account, granted } } as const,
      })),
    ].sort((one, other) => one.at - other.at)
    for (const { key, at, event } of events) {
      if (toldConsents.has(key)) continue
      toldConsents.set(key, at)
      consentsSince = Math.max(consentsSince, at)
      send(event)
    }
    return sendGuests()
  }

  const sendGuests = async () => {
    if (asker.accountKind !== 'person' && asker.accountKind !== 'business') return true
    for (const guest of await hub.waitingGuests(asker)) {
      if (toldGuests.has(guest.account) || stopped) continue
      toldGuests.add(guest.account)
      send({ case: 'guestWaiting', value: guest })
    }
    return true
  }

  const sendSupply = async () => {
    lowSupply = false
    const available = await hub.countKeyPackages(asker.device)
    if (!stopped && available < hub.settings.keyPackagesLow) send({ case: 'keyPackagesLow', value: { available } })
    return true
  }

  /** Goes out now or never: to a device that is behind, or reads slowly, it would be old when it came. */
  const sendEphemeral = (room: string, frame: Uint8Array) => {
    if (stopped || !caughtUp || free() <= 0 || options.buffered() > settings.ephemeralBytes) return
    send({ case: 'ephemeral', value: { room, frame } })
  }

  pump()
  return {
    news(all: readonly News[]): void {
      for (const news of all) {
        if (news.kind === 'room') rooms.add(news.room)
        else if (news.kind === 'standing') standings.add(news.room)
        else if (news.kind === 'ending') endings.add(news.room)
        else if (news.kind === 'welcome') welcomes = true
        else if (news.kind === 'consent') consents = true
        else if (news.kind === 'key-packages') lowSupply = true
        else if (news.kind === 'ephemeral') sendEphemeral(news.roomId, news.frame)
      }
      pump()
    },
    /** After the hub has stored it. */
    acknowledged(cursors: readonly { room: string; seq: number }[], welcomesDone: readonly number[]): void {
      for (const { room, seq } of cursors)
        for (const { counts, at } of positions.acknowledged(room, seq))
          if (counts) options.onDelivered(at === undefined ? undefined : Math.max(0, options.clock() - at))
      for (const no of welcomesDone) positions.acknowledgedWelcome(no)
      pump()
    },
    stop(): void {
      stopped = true
      clearTimeout(timer)
    },
  }
}

export type Courier = ReturnType<typeof openCourier>

function deliver(entry: Entry): Body {
  return {
    case: 'deliver',
    value: {
      room: entry.room,
      seq: BigInt(entry.seq),
      kind: toEntryKind(entry.kind),
      message: entry.message,
      timestampMs: BigInt(entry.at),
      manifests: entry.manifests,
      own: entry.own,
    },
  }
}

function welcome(entry: WelcomeEntry): Body {
  return {
    case: 'welcome',
    value: {
      welcomeId: BigInt(entry.no),
      room: entry.room,
      kind: toRoomKind(entry.kind),
      welcome: entry.welcome,
      manifests: entry.manifests,
      seq: BigInt(entry.seq),
      timestampMs: BigInt(entry.at),
      standing: toStanding(entry.standing),
      inviter: entry.inviter,
    },
  }
}
