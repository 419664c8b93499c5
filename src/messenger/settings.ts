const second = 1000
const minute = 60 * second

/** Limits and times of the gateway, each with its reason. Times are milliseconds, sizes bytes. */
export interface GatewaySettings {
  /** The largest frame: the creation of a room brings two GroupInfos, a commit and a Welcome. */
  frameBytes: number
  /** The largest frame before anybody has authenticated: a manifest with its certificates. */
  firstFrameBytes: number
  /**
   * Fields and elements of lists in one frame: each becomes an object, however few bytes it has. An acknowledgement needs
   * most, three for a cursor; this is twice as many, for fields that are yet to come.
   */
  frameValues: number
  /** How long a connection may be open without a device, a rendezvous or a served network. */
  unauthenticatedMs: number
  /** Requests under way at once: of a connection, which may be an edge with thousands of accounts, and of a device. */
  connectionRequests: number
  channelRequests: number
  /** Devices of one connection. */
  channels: number
  /** Devices without a channel that one connection may ask to be told of: in one request, and in all. One takes 0.3 KB. */
  watchesAtOnce: number
  watches: number
  /** Rendezvous, and links by which to be let in, that one connection may wait at. */
  links: number
  /** Requests that a device may make in a second over time, and at once. */
  requestsPerSecond: number
  requestBurst: number
  /** The same for what a connection asks before a device is named: registrations and log-ins. */
  openRequestsPerSecond: number
  openRequestBurst: number
  /** Bytes of requests under way at once on a connection: before anybody has authenticated, and after. */
  firstUnderWayBytes: number
  underWayBytes: number
  /** A request counts once more for each of so many bytes or KeyPackages: they cost time, signatures and space. */
  requestUnitBytes: number
  requestUnitKeyPackages: number
  /** Look-ups of an account, and handles that it tries to take: enough for a person, too few to try out names. */
  lookUpsPerMinute: number
  /**
   * Rooms and commits of an account, over time and at once: each is work for every member, whether they want it or not,
   * but a new device enters hundreds of rooms.
   */
  commitsPerMinute: number
  commitBurst: number
  /**
   * Bytes that an account submits in an hour over time, and at once: a log entry is kept for as long as thirty days, so
   * this bounds what one account makes the provider store.
   */
  accountBytesPerHour: number
  accountBytesBurst: number
  /** Reports of an account: somebody reads each of them. */
  reportsPerDay: number
  /**
   * Manifests, and changes of who may write and over which network, of an account in an hour over time, and at once: each
   * stands in the compliance log for good. Somebody who links devices and tries out settings makes a dozen.
   */
  changesPerHour: number
  changeBurst: number
  /** Ephemeral frames of a device in a second over time, and at once: somebody types in one room at a time. */
  ephemeralPerSecond: number
  ephemeralBurst: number
  /** Requests of a guest, who has one chat; and of strangers about one link, which is sent to a few people. */
  guestRequestsPerMinute: number
  inviteRequestsPerMinute: number
  /**
   * Registrations, manifests from where nobody has authenticated, rendezvous and links asked for, from one network (IPv6
   * /64, IPv4 /24): what an event in a hall needs.
   */
  strangerRequestsPerMinute: number
  /** After how long it is said that there is no such link: longer than looking takes, too short to be in anybody's way. */
  inviteAnswerMs: number
  /** Unacknowledged entries under way to a device: when it names none, and at most. */
  window: number
  largestWindow: number
  /**
   * How much older than the newest one told of a request for consent, or its answer, may be and still be new: it is dated
   * before its commit, which takes a minute at most, by a clock of any process.
   */
  consentOverlapMs: number
  /** Cursors and Welcomes in one acknowledgement: there are never more under way. */
  acknowledgements: number
  /** Bytes waiting in a pipe above which nothing more is delivered, and how often that is looked at. */
  pauseBytes: number
  pauseMs: number
  /** Bytes waiting in a pipe above which ephemeral frames are dropped: they must not wait behind others. */
  ephemeralBytes: number
  /** Bytes waiting in a pipe at which the reader is given up: answers and events alone can fill it. */
  mostBytes: number
  /** How long an edge may take to find out whether somebody can be reached. */
  resolveMs: number
  /** Look-ups that wait for one edge. */
  resolves: number
  /** The longest identifier of a foreign network, in characters. */
  identifierLength: number
  /** Pause before reading a mailbox again after a fault. */
  faultMs: number
}

export const defaultGatewaySettings: GatewaySettings = {
  frameBytes: 8 * 1024 * 1024,
  firstFrameBytes: 256 * 1024,
  frameValues: 16_384,
  unauthenticatedMs: 30 * second,
  connectionRequests: 2048,
  channelRequests: 64,
  channels: 20_000,
  watchesAtOnce: 1_000,
  watches: 200_000,
  links: 4,
  requestsPerSecond: 50,
  requestBurst: 400,
  openRequestsPerSecond: 200,
  openRequestBurst: 2000,
  firstUnderWayBytes: 1024 * 1024,
  underWayBytes: 32 * 1024 * 1024,
  requestUnitBytes: 64 * 1024,
  requestUnitKeyPackages: 4,
  lookUpsPerMinute: 60,
  commitsPerMinute: 60,
  commitBurst: 300,
  accountBytesPerHour: 32 * 1024 * 1024,
  accountBytesBurst: 256 * 1024 * 1024,
  reportsPerDay: 20,
  changesPerHour: 60,
  changeBurst: 60,
  ephemeralPerSecond: 2,
  ephemeralBurst: 20,
  guestRequestsPerMinute: 120,
  inviteRequestsPerMinute: 60,
  strangerRequestsPerMinute: 600,
  inviteAnswerMs: 200,
  window: 64,
  largestWindow: 1024,
  consentOverlapMs: 2 * minute,
  acknowledgements: 2048,
  pauseBytes: 1024 * 1024,
  pauseMs: 20,
  ephemeralBytes: 64 * 1024,
  mostBytes: 32 * 1024 * 1024,
  resolveMs: 10 * second,
  resolves: 1000,
  identifierLength: 512,
  faultMs: 1 * second,
}

/** WebSocket close codes (RFC 6455 §7.4.1). */
export const closeCodes = { goingAway: 1001, malformed: 1007, policy: 1008, tooLarge: 1009, overloaded: 1013 } as const

export const heartbeatMs = minute / 2
