/**
 * Limits and waits of the Matrix side, each with its reason. `defaultMatrixSettings` is what runs when nothing is said.
 */
export interface MatrixSettings {
  /** Longest wait for one answer of the homeserver, in ms. A keys query over federation may take Synapse ten seconds. */
  readonly requestTimeoutMs: number
  /** Largest answer of the homeserver that is read, in bytes: a first /sync of a long unused inbox is the largest. */
  readonly responseLimitBytes: number
  /**
   * Largest whole state of a room that is read, in bytes. Whoever invites a ghost chooses the room: a group of the largest size
   * has well below one MiB, and what is read is parsed while nothing else happens.
   */
  readonly roomStateBytes: number
  /** Largest transaction taken from the homeserver, in bytes: 100 events and 100 to-device messages of 64 KiB, twice. */
  readonly transactionLimitBytes: number
  /** How many transaction ids are remembered. The homeserver repeats only the last one that was not answered. */
  readonly transactionMemory: number
  /** Events of one room handed over together at most, so that one busy room cannot hold the others. */
  readonly eventBatch: number
  /** Rooms that are handed over at the same time. */
  readonly roomsAtOnce: number
  /** How many of these may be rooms that one of ours goes into, which can take long: conversations always have the others. */
  readonly entriesAtOnce: number
  /** How many of those may have failed before: a new invitation does not wait for what nobody will ever answer. */
  readonly failedEntriesAtOnce: number
  /**
   * Longest wait for a join or a leave, in ms. Another homeserver may have to answer, which may be gone. Where it only takes
   * long, ours goes on, and the next attempt finds it done.
   */
  readonly joinTimeoutMs: number
  /** First and longest wait before a room whose handler failed is tried again, in ms. */
  readonly roomRetryMs: number
  readonly roomRetryMaxMs: number
  /** Olm machines kept in memory; the least recently used idle one goes first. One takes about 0.6 MB. */
  readonly loadedGhosts: number
  /** An Olm machine that nobody has used for so long is closed, in ms; it is back within 20 ms. */
  readonly idleGhostMs: number
  /** Lifetime of the lease on a ghost, in ms: how long after a crash another process may take it over. */
  readonly ghostLeaseMs: number
  /** Longest wait for one call into the Olm machine, in ms. A panic in Rust leaves a promise that never settles. */
  readonly machineTimeoutMs: number
  /**
   * Pause between a ghost's first room key for somebody and the message, in ms. A client that trusts cross-signed devices
   * only has to look up the ghost first; matrix-js-sdk refuses for good what comes before the answer. Of a hundred
   * conversations begun at once five had such a message without the pause, none with it.
   */
  readonly firstMessageMs: number
  /** A room key serves so many messages at most; the Matrix specification's default. The machine's own cap is 10,000. */
  readonly rotationMessages: number
  /** A room key serves so long at most, in ms; the specification's default is a week. */
  readonly rotationMs: number
  /**
   * How long a room key, and the mark of a message to a device that was taken, are kept that nobody has used, in ms. Clients use
   * one for a week by default; what comes late (`lateKeyMs`), or is read back (`readBackMs`), for another two. There is
   * one for each sender, room and week, and a machine has all its own in memory, 2 KB each.
   */
  readonly unusedKeyMs: number
  /** How often it is looked for those in a machine that stays open, and noted that one is used, in ms. */
  readonly unusedEveryMs: number
  /** Attempts to claim a one-time key of a device that answered with none although it has keys, and the first wait. */
  readonly claimAttempts: number
  readonly claimRetryMs: number
  /** To-device messages given to a machine in one call: one call for 200 takes an eighth of 200 calls. */
  readonly inboxBatch: number
  /** Changed device lists that a ghost looks at in one go: a few milliseconds, and after a long sleep there may be 100,000. */
  readonly listsBatch: number
  /** An unloaded ghost is loaded for a refill when the homeserver has fewer one-time keys than this. Full is 50. */
  readonly refillBelow: number
  /** How often a ghost's device inbox is emptied by /sync, in ms; delivery by transaction does not remove a row. */
  readonly inboxSyncMs: number
  /** A ghost that misses a room key is synced at most so often, in ms. Keys may just be late, and each /sync costs 10 ms. */
  readonly missingKeySyncMs: number
  /** Ghosts that are synced at the same time during recovery. */
  readonly syncsAtOnce: number
  /** Age in ms after which a repeated PUT looks into the timeline first. Synapse remembers a transaction id 30 minutes. */
  readonly sendMemoryMs: number
  /** Timeline pages of 100 events that are searched for a message that may have been sent. */
  readonly findPages: number
  /**
   * How long the homeserver is asked to hold back the answer by which it is watched, in ms. A machine that loses its power
   * closes no connection: noticed after this, and sooner than it is started anew.
   */
  readonly watchMs: number
  /** Wait before a homeserver that does not answer is asked again, in ms: less than its start takes. */
  readonly watchRetryMs: number
  /** Timeline pages of 100 events that are read back for what was not pushed. What is further back is in nobody's queue. */
  readonly gapPages: number
  /** Rooms from which nothing came for so long are compared with their timelines only when something comes, in ms. */
  readonly gapWithinMs: number
  /** Pause between two rooms that are compared, in ms: twenty a second are a small part of what a homeserver answers. */
  readonly gapRoomMs: number
  /**
   * First and longest wait before rooms that could not be compared are tried again, in ms; and how seldom a timeline is asked
   * for that could not be had for `gapHoldMs`. Mostly the homeserver is busy just now, seldom it is broken for one room.
   */
  readonly gapRetryMs: number
  readonly gapRetryMaxMs: number
  /**
   * How long what was pushed waits, in ms, where the homeserver is there and does not give the room's timeline. Longer than
   * a loaded one takes to answer; then it goes on as it was pushed.
   */
  readonly gapHoldMs: number
  /** How long it is remembered what was read back, in ms: a homeserver hands over late what it stored before it was killed. */
  readonly readBackMs: number
}

export const defaultMatrixSettings: MatrixSettings = {
  requestTimeoutMs: 30_000,
  responseLimitBytes: 64 * 1024 * 1024,
  roomStateBytes: 8 * 1024 * 1024,
  transactionLimitBytes: 32 * 1024 * 1024,
  transactionMemory: 1000,
  eventBatch: 50,
  roomsAtOnce: 8,
  entriesAtOnce: 6,
  failedEntriesAtOnce: 2,
  joinTimeoutMs: 10_000,
  roomRetryMs: 500,
  roomRetryMaxMs: 60_000,
  loadedGhosts: 200,
  idleGhostMs: 10 * 60 * 1000,
  ghostLeaseMs: 30_000,
  machineTimeoutMs: 20_000,
  firstMessageMs: 1_000,
  rotationMessages: 100,
  rotationMs: 7 * 24 * 3600 * 1000,
  unusedKeyMs: 30 * 24 * 3600 * 1000,
  unusedEveryMs: 24 * 3600 * 1000,
  claimAttempts: 6,
  claimRetryMs: 50,
  inboxBatch: 200,
  listsBatch: 500,
  refillBelow: 25,
  inboxSyncMs: 6 * 3600 * 1000,
  missingKeySyncMs: 5_000,
  syncsAtOnce: 4,
  sendMemoryMs: 20 * 60 * 1000,
  findPages: 20,
  watchMs: 10_000,
  watchRetryMs: 1_000,
  gapPages: 10,
  gapWithinMs: 30 * 24 * 3600 * 1000,
  gapRoomMs: 50,
  gapRetryMs: 1_000,
  gapRetryMaxMs: 10 * 60 * 1000,
  gapHoldMs: 2 * 60 * 1000,
  readBackMs: 14 * 24 * 3600 * 1000,
}
