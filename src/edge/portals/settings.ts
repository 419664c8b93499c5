/** Limits and waits of the portals, each with its reason. `defaultPortalSettings` is what runs when nothing is said. */
export interface PortalSettings {
  /** How long a message from Matrix whose key has not come holds its portal, in ms, before a placeholder goes out. */
  readonly missingKeyMs: number
  /** The same, in ms, where the homeserver cannot be asked for keys: a room is not held for ever by one message. */
  readonly missingKeyMostMs: number
  /** How often a message that waits for its key is looked at again, in ms; each look may ask the homeserver. */
  readonly missingKeyRetryMs: number
  /** How long a placeholder may still be replaced, in ms: keys do not come after weeks. */
  readonly lateKeyMs: number
  /** How often what is past its time is deleted, in ms. */
  readonly expireEveryMs: number
  /** How old a request of a Matrix user is at most, in ms, that is asked about at the start: older ones are seldom answered. */
  readonly askedMs: number
  /** Messages for Matrix taken together: what is encrypted, and then what is noted as sent, in one transaction each. */
  readonly outboxBatch: number
  /** First and longest wait before a portal whose homeserver did not answer is tried again, in ms. */
  readonly retryMs: number
  readonly retryMaxMs: number
  /**
   * How long a homeserver that did not answer may still be making a room, in ms; before that it is not asked for another.
   * Longer than a loaded Synapse works on createRoom with an invitation over federation.
   */
  readonly roomSettleMs: number
  /**
   * How long an invitation is tried that the homeserver does not get done, in ms, before it is turned down: longer than it
   * takes to start another homeserver anew. To invite again is what helps then.
   */
  readonly invitationMs: number
  /** How long a message that Matrix forbids is tried again, in ms: the room may be about to change. */
  readonly refusedMs: number
  /** Age in ms at which a message that Matrix never took is given up and its sender told; as long as consent may take. */
  readonly outboxExpiryMs: number
  /**
   * How long a Matrix user who leaves is still in the messenger's room, in ms, for its people to be told what will not arrive.
   * A hub that is there takes it at once, and other Matrix rooms wait meanwhile.
   */
  readonly tellLeftMs: number
  /** Largest content of an event before encryption, in bytes: base64 and the envelope stay under Matrix' 65,536. */
  readonly eventBytes: number
  /** Lifetime of the lease on a Matrix user's device, in ms: how long after a crash another process may take it over. */
  readonly userLeaseMs: number
  /** Devices opened at the same time because something waits for them or they are due. */
  readonly openingAtOnce: number
  /** A Matrix user's device with which nothing has happened for so long is closed, in ms; it is back within some 50 ms. */
  readonly idleUserMs: number
  /** How long a device is closed at most, in ms, before it looks after what runs out: manifests are good for 14 days. */
  readonly userDueMs: number
  /** Portals that send to Matrix at the same time. */
  readonly portalsAtOnce: number
  /** Members of a group that reaches Matrix, on both sides together: each ghost joins, and each message is encrypted for all. */
  readonly groupMembers: number
  /** How long a message of a Matrix user waits who is just coming into a group, in ms; then it is refused. */
  readonly groupJoinMs: number
  /** Handles that one Matrix user may look up through the bot in a minute: enough to try spellings, not to try names. */
  readonly botLookUps: number
  /** Handles looked up by the homeserver (/thirdparty) in a minute, for all its users together: it does not say who asks. */
  readonly thirdPartyLookUps: number
  /** Invitations of ids that are nobody's which are turned down in a minute: each new id becomes a user of the homeserver. */
  readonly nobodyInvited: number
  /** Matrix users who get an account in a minute because somebody on the messenger looked them up. */
  readonly newUsers: number
  /** How long a command to the bot is tried again, in ms, before its failure is told. */
  readonly commandMs: number
  /**
   * Longest wait for the homeserver's answer whether a Matrix user exists, in ms; it may have to ask another server. Less
   * than the messenger waits for a look-up (10 s), so that it is told which server it was.
   */
  readonly profileTimeoutMs: number
}

const minute = 60_000
const day = 24 * 60 * minute

export const defaultPortalSettings: PortalSettings = {
  missingKeyMs: 30_000,
  missingKeyMostMs: 5 * minute,
  missingKeyRetryMs: 3_000,
  lateKeyMs: 14 * day,
  expireEveryMs: 60 * minute,
  askedMs: 30 * day,
  outboxBatch: 20,
  retryMs: 500,
  retryMaxMs: minute,
  roomSettleMs: minute,
  invitationMs: 10 * minute,
  refusedMs: 10_000,
  outboxExpiryMs: 14 * day,
  tellLeftMs: 5_000,
  eventBytes: 45_000,
  userLeaseMs: 15_000,
  openingAtOnce: 8,
  idleUserMs: 10 * minute,
  userDueMs: day,
  portalsAtOnce: 16,
  groupMembers: 250,
  groupJoinMs: minute,
  botLookUps: 20,
  thirdPartyLookUps: 120,
  nobodyInvited: 10,
  newUsers: 60,
  commandMs: 15_000,
  profileTimeoutMs: 8_000,
}
