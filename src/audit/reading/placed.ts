/** An entry and where it stands: by log and index anybody can have it proven again. */
export interface PlacedEntry {
  /** The log's origin. */
  readonly log: string
  readonly index: number
  /** As it is hashed. */
  readonly body: Uint8Array
}
