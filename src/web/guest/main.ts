// The page of an invited person. What stands behind the # is taken out of the address bar before anything else happens.
import { h, render } from 'preact'
import { indexedDbStorage, type Storage } from '../../client/index.ts'
import { webCrypto } from '../../crypto/web.ts'
import { webMlsProvider } from '../../mls/provider-web.ts'
import { connectHome, eraseDatabase, looksPrivate, missing, serviceClock } from '../parts/environment.ts'
import { speak } from '../parts/language.ts'
import { UnfitCard } from '../parts/page.tsx'
import { GuestPage } from './guest-page.tsx'
import { openVisitRecords } from './records.ts'
import { inOneTab } from './tabs.ts'
import { openVisit } from './visit.ts'

const fragment = location.hash.slice(1)
if (location.href.includes('#')) history.replaceState(null, '', location.pathname)
const invite = /^\/g\/([\w-]{22})\/?$/.exec(location.pathname)?.[1] ?? ''
const root = document.getElementById('page')!

async function start(): Promise<void> {
  await speak()
  if (missing()) return show(h(UnfitCard, { why: 'old' }))
  const records = await openVisitRecords().catch(() => undefined)
  if (!records) return show(h(UnfitCard, { why: 'storage' }))
  const connection = connectHome()
  const database = `silta guest ${invite}`
  const tabs = inOneTab(invite, () => visit.letGo())
  const [clock, isPrivate] = [serviceClock(), looksPrivate()]
  let now: () => number = Date.now
  void clock.then((right) => {
    now = right
  })
  const visit = openVisit({
    invite,
    fragment,
    linkOf: (half) => `${location.origin}/g/${invite}#${half}`,
    records,
    connection,
    crypto: webCrypto,
    mls: webMlsProvider,
    clock: () => now(),
    openStorage: async (): Promise<Storage> => {
      await clock
      return indexedDbStorage(database)
    },
    eraseStorage: () => eraseDatabase(database),
    askOtherTab: tabs.ask,
  })
  // Another link in the same tab changes what stands behind the # and nothing else.
  addEventListener('hashchange', () => location.reload())
  show(h(GuestPage, { visit, isPrivate: await isPrivate }))
  await visit.begin()
}

function show(page: preact.ComponentChild): void {
  render(page, root)
}

void start()
