/**
 * What is wrong with a log, a proof or a note.
 *
 * - malformed: not of the format that its specification asks for
 * - unsigned: a note without a signature by a key that is asked for
 * - bad-signature: a key that is known, and a signature that is not its own
 * - unwitnessed: a checkpoint without the cosignatures that the policy asks for
 * - wrong-origin: a checkpoint of another log
 * - missing: a file that the checkpoint promises is not there
 * - entry-mismatch: an entry is not the one that its tile names
 * - tile-mismatch: a tile is not the one that follows from the entries
 * - root-mismatch: the entries do not give the root that was signed
 * - bad-proof: a proof does not lead to the root
 * - inconsistent: a later checkpoint does not continue an earlier one
 * - no-entry: the log has fewer entries than was asked for. It says nothing about the log
 * - unreadable: a file could not be fetched or opened. It says nothing about the log
 */
export type LogErrorCode =
  | 'malformed'
  | 'unsigned'
  | 'bad-signature'
  | 'unwitnessed'
  | 'wrong-origin'
  | 'missing'
  | 'entry-mismatch'
  | 'tile-mismatch'
  | 'root-mismatch'
  | 'bad-proof'
  | 'inconsistent'
  | 'no-entry'
  | 'unreadable'

/** Indices of entries, both included. */
export interface EntryRange {
  readonly first: number
  readonly last: number
}

export class LogError extends Error {
  override readonly name = 'LogError'
  readonly code: LogErrorCode
  /** The first entries that can be to blame, where that is known. */
  readonly entries: EntryRange | undefined

  constructor(code: LogErrorCode, message: string, entries?: EntryRange) {
    super(message)
    this.code = code
    this.entries = entries
  }
}
