import {
  ClientError,
  type Connection,
  connect,
  type Device,
  groupCache,
  joinByInvite,
  memoryStorage,
  openInvite,
  webSocketPipe,
} from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { chromiumMissing } from '../test/support/chromium.ts'
import { newPerson } from '../test/support/messenger-person.ts'
import { stubHomeserver } from '../test/support/stub/index.ts'
import { builtPages } from '../test/support/web-world.ts'
import { measureGuestPage } from './guest-page.ts'
import type { BenchOptions } from './options.ts'
import { startMeasured } from './service.ts'
import { median, quantile } from './statistics.ts'

export interface Guests {
  /** Connected at once, each over a WebSocket of its own, with nothing happening. */
  readonly idle: number
  /** Bytes for each of them, when everything that can be freed was. */
  readonly resident: number
  readonly heap: number
  /** From sending off the name to the provider's acceptance of the first encrypted message, ms. */
  readonly firstMessage: Times
  /** The same on the guest's page in Chromium; undefined where there is none. */
  readonly onPage?: Times
}

interface Times {
  readonly p50: number
  readonly p95: number
  readonly of: number
}

const timesOf = (times: readonly number[]): Times => ({
  p50: median(times),
  p95: quantile(times, 0.95),
  of: times.length,
})

/** Visits in Chromium. */
const visits = 15

/** Links that an account may have open. */
const linksOfHost = 100
/** Guests who come in at once while the crowd gathers. */
const atOnce = 8

/** What guests cost who stay and say nothing, and how soon one who comes has said something. On the embedded database. */
export async function measureGuests(options: BenchOptions, progress: (line: string) => void): Promise<Guests> {
  const wanted = options.quick ? 100 : 5_000
  await using stub = await stubHomeserver({ keep: false, keepEvents: 10 })
  await using service = await startMeasured(stub, undefined, { SILTA_TEST_PAGES: await builtPages() })
  const closing: (() => Promise<unknown>)[] = []
  const cache = groupCache(64)
  const mls = nodeMlsProvider()
  const open = () => connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`))

  /** Again, as a page would, where so many at once keep the service from answering in time. */
  const patiently = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof ClientError) || !error.retry) throw error
      }
    }
  }
  const come = async (link: string, connection: Connection): Promise<Device> => {
    const given = { connection, storage: memoryStorage(), crypto: nodeCrypto, mls, groupCache: cache }
    const device = await patiently(() => joinByInvite({ ...given, link, name: 'Mia' }))
    closing.push(async () => {
      await device.close()
      await connection.close()
    })
    return device
  }
  // A secure context, as the page demands.
  const base = service.url.replace('127.0.0.1', 'localhost')
  /** A host with links for so many. */
  const host = async (number: number, links: number): Promise<string[]> => {
    const person = await newPerson(service.url, `host-${number}`, { reachable: false })
    closing.push(() => person.close())
    const made: string[] = []
    for (let each = 0; each < links; each++) made.push((await person.device.createInvite({ base })).link)
    return made
  }

  try {
    const times: number[] = []
    for (const link of await host(0, options.quick ? 10 : linksOfHost)) {
      // The page is open before: it shows what the link offers, and its connection is there.
      const connection = open()
      await openInvite({ connection, crypto: nodeCrypto }, link)
      const began = performance.now()
      const device = await come(link, connection)
      await device.start()
      const [room] = await device.rooms()
      await (await device.send(room!.id, textMessage({ plain: 'good day' }))).accepted
      times.push(performance.now() - began)
    }
    progress(`guests: a first message is accepted after ${median(times).toFixed(0)} ms (median)`)
    const onPage = chromiumMissing() ? undefined : timesOf(await measureGuestPage(await host(1, visits)))
    if (onPage) progress(`guests: on the page in Chromium after ${onPage.p50.toFixed(0)} ms (median)`)

    const links: string[] = []
    for (let number = 2; links.length < wanted; number++)
      links.push(...(await host(number, Math.min(linksOfHost, wanted - links.length))))
    // The hosts are there before and after; what is counted are the guests.
    const before = await service.memory()
    let arrived = 0
    const gather = async () => {
      for (let link = links.pop(); link !== undefined; link = links.pop()) {
        const device = await come(link, open())
        await device.start()
        await patiently(() => device.ready())
        if (++arrived % 500 > 0) continue
        const { memory, heap } = await service.memory()
        const [resident, ofHeap] = [memory - before.memory, heap - before.heap].map((all) =>
          (all / arrived / 1000).toFixed(0),
        )
        progress(`guests: ${arrived} are in, for each ${resident} KB resident, ${ofHeap} KB of heap`)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, gather))
    const after = await service.memory()
    return {
      idle: wanted,
      resident: (after.memory - before.memory) / wanted,
      heap: (after.heap - before.heap) / wanted,
      firstMessage: timesOf(times),
      ...(onPage && { onPage }),
    }
  } finally {
    for (const close of closing.reverse()) await close()
  }
}
