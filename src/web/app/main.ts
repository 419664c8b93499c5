// The client for trying: a messenger in the browser, made of the same parts as the guest's page.
import { h, render } from 'preact'
import { indexedDbStorage } from '../../client/index.ts'
import { toHex } from '../../crypto/bytes.ts'
import { webCrypto } from '../../crypto/web.ts'
import { webMlsProvider } from '../../mls/provider-web.ts'
import { connectHome, eraseDatabase, missing, serviceClock } from '../parts/environment.ts'
import { speak } from '../parts/language.ts'
import { UnfitCard } from '../parts/page.tsx'
import { AppPage } from './app-page.tsx'
import { openClient } from './client.ts'

const root = document.getElementById('page')!
/** Several people can be tried in one browser: /app?as=ben. */
const as = /^[\w.-]{1,32}$/.exec(new URLSearchParams(location.search).get('as') ?? '')?.[0] ?? ''
const database = as ? `silta app ${as}` : 'silta app'

async function start(): Promise<void> {
  await speak()
  if (missing()) return render(h(UnfitCard, { why: 'old' }), root)
  const clock = await serviceClock()
  const client = openClient({
    connection: connectHome(),
    crypto: webCrypto,
    mls: webMlsProvider(),
    clock,
    openStorage: () => indexedDbStorage(database),
    eraseStorage: () => eraseDatabase(database),
    tokenFor,
  })
  render(h(AppPage, { client }), root)
  await client.begin()
}

/** From the issuer for trying, which asks for no proof. */
async function tokenFor(name: string): Promise<string> {
  const response = await fetch('/trial/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    // Each account is somebody of its own, also when two choose one name.
    body: JSON.stringify({ name: `${name.slice(0, 24)}-${toHex(webCrypto.randomBytes(3))}` }),
    credentials: 'omit',
  })
  if (!response.ok) throw new TypeError('no token was given')
  return ((await response.json()) as { token: string }).token
}

void start()
