import { connect, webSocketPipe } from '../../client/index.ts'

/** What a page needs of its browser. Undefined: all is there. */
export function missing(): 'old' | undefined {
  const there =
    globalThis.isSecureContext &&
    typeof indexedDB === 'object' &&
    typeof WebSocket === 'function' &&
    typeof BroadcastChannel === 'function' &&
    typeof crypto?.getRandomValues === 'function' &&
    typeof navigator.locks === 'object' &&
    typeof HTMLDialogElement === 'function'
  return there ? undefined : 'old'
}

/** A request that is not answered for so long is tried again by whoever asked, and the person is told, ms. */
const requestTimeout = 10_000

/** The service that this page came from. */
export function connectHome() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  const open = async () => {
    const pipe = await webSocketPipe(`${scheme}://${location.host}/messenger/v1`)
    // A browser that knows itself to be offline says so at once; by itself the link would be missed after a minute.
    addEventListener('offline', () => pipe.close(1000, 'offline'), { once: true })
    return pipe
  }
  return connect(open, { requestTimeout, reconnectMost: 10_000 })
}

/** From how much on this machine's clock counts as wrong, ms: well within what the provider's own rules allow for. */
const tolerated = 10 * 60 * 1000

/**
 * A clock that agrees with the service's to some minutes, whatever this machine's says: what a device signs has to be valid
 * there. Others' documents are judged at the log's time and not by this.
 */
export async function serviceClock(): Promise<() => number> {
  try {
    const response = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store', credentials: 'omit' })
    const theirs = Date.parse(response.headers.get('date') ?? '')
    const offset = theirs - Date.now()
    if (Number.isFinite(offset) && Math.abs(offset) > tolerated) return () => Date.now() + offset
  } catch {
    // Without an answer this machine's own has to do.
  }
  return Date.now
}

/** Browsers do not say so; a private window's small share of the disk gives it away in some. */
export async function looksPrivate(): Promise<boolean> {
  const { quota = Number.POSITIVE_INFINITY } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {}
  const memory = (performance as { memory?: { jsHeapSizeLimit: number } }).memory?.jsHeapSizeLimit
  return memory !== undefined && quota < memory
}

/** Nothing stays: a device's whole database goes. */
export function eraseDatabase(database: string): Promise<void> {
  return new Promise((resolve) => {
    const deleting = indexedDB.deleteDatabase(database)
    deleting.onsuccess = () => resolve()
    deleting.onerror = () => resolve()
    // Another tab holds it and is told to let go; the rest happens then.
    deleting.onblocked = () => resolve()
  })
}
