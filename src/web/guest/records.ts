/**
 * What the guest page keeps beside the devices of chats: of each link, the half that the address bar must not show, until the
 * chat has begun, and what became of it. IndexedDB only; nothing of it is ever sent.
 */
export interface Visit {
  /** What stands behind the #: kept from the first look until the chat has begun. */
  fragment?: string
  /** Who asked to be let in, and with what: so that the page may be closed meanwhile. */
  asked?: { name: string; pin?: string }
  /** What was written while waiting to be let in. */
  draft?: string
  /** The name under which the chat was begun. */
  name?: string
  /** How the host was called on the link. */
  hostName?: string
  /** The chat was here, and has ended. */
  ended?: string
}

export interface VisitRecords {
  get(invite: string): Promise<Visit | undefined>
  put(invite: string, visit: Visit): Promise<void>
  delete(invite: string): Promise<void>
}

const name = 'silta links'
const store = 'links'

/** Rejects when the browser keeps nothing. */
export async function openVisitRecords(): Promise<VisitRecords> {
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(store)
  const db = await settled(opening)
  db.onversionchange = () => db.close()
  const write = (change: (links: IDBObjectStore) => void) =>
    new Promise<void>((resolve, reject) => {
      const transaction = db.transaction(store, 'readwrite', { durability: 'strict' })
      change(transaction.objectStore(store))
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
  return {
    get: (invite) => settled(db.transaction(store).objectStore(store).get(invite)) as Promise<Visit | undefined>,
    put: (invite, visit) => write((links) => links.put(visit, invite)),
    delete: (invite) => write((links) => links.delete(invite)),
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
