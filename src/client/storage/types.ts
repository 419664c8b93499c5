/** What a device keeps its state in. */

/** One device's state. Transactions are serialised, atomic, and durable when their promise resolves. */
export interface Storage {
  transaction<T>(fn: (tx: StorageTx) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface StorageTx {
  get(collection: string, key: string): Promise<Uint8Array | undefined>
  put(collection: string, key: string, value: Uint8Array): Promise<void>
  delete(collection: string, key: string): Promise<void>
  /** The entries whose key begins with the prefix, ordered by key (code units), at most `limit` of them. */
  list(collection: string, prefix?: string, limit?: number): Promise<{ key: string; value: Uint8Array }[]>
  /** SQL storage: the store's Transaction, so that the application's own rows commit with the device's. */
  readonly application?: unknown
}
