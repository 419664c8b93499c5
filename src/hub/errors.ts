import type { GuestEnd } from './guests/reasons.ts'

/** Why the hub refuses: the error codes of the messenger protocol, see schemas/messenger/v1/messenger.proto. */
export type HubErrorCode =
  | 'malformed'
  | 'too-large'
  | 'unauthenticated'
  | 'not-allowed'
  | 'not-found'
  | 'not-reachable'
  | 'wrong-epoch'
  | 'pending-proposal'
  | 'direct-room-exists'
  | 'account-exists'
  | 'bad-token'
  | 'bad-certificate'
  | 'wrong-clock'
  | 'not-in-manifest'
  | 'old-manifest'
  | 'bad-commit'
  | 'bad-key-package'
  | 'no-key-packages'
  | 'consent-required'
  | 'request-limit'
  | 'blocked'
  | 'not-opted-in'
  | 'rate-limited'
  | 'handle-taken'
  | 'unlinked'
  | 'unavailable'
  | 'unsupported'
  | 'wrong-pin'
  | 'ended'
  | 'server-unreachable'

/** What a developer is told, and whether the same request can succeed later without anybody changing their mind. */
const meanings: Record<HubErrorCode, { message: string; retry: boolean }> = {
  malformed: { message: 'the frame or a field of it cannot be read', retry: false },
  'too-large': { message: 'larger than the limits stated in Hello', retry: false },
  unauthenticated: { message: 'no authenticated channel, or the signature does not hold', retry: false },
  'not-allowed': { message: "the room's or the account's policy forbids it", retry: false },
  'not-found': { message: 'no such thing, or none that the asker may see', retry: false },
  'not-reachable': { message: 'this account cannot be reached', retry: false },
  'wrong-epoch': { message: "process the room's log, then send again", retry: true },
  'pending-proposal': { message: 'commit the attached proposals first', retry: true },
  'direct-room-exists': { message: 'there is such a room already', retry: false },
  'account-exists': { message: "the token's subject has another account key", retry: false },
  'bad-token': { message: 'the access token is not valid', retry: false },
  'bad-certificate': { message: 'certificate, endorsement or signature forged or expired', retry: false },
  'wrong-clock': { message: 'begins in the future: the clock of its maker is wrong', retry: false },
  'not-in-manifest': { message: 'the device is missing from the manifest in force', retry: false },
  'old-manifest': { message: 'a manifest older than, or different from, the one in force', retry: false },
  'bad-commit': { message: 'the public group refuses this handshake', retry: false },
  'bad-key-package': { message: 'not a valid KeyPackage of this device', retry: false },
  'no-key-packages': { message: 'no device of the account has a KeyPackage now', retry: true },
  'consent-required': { message: 'ask for consent first', retry: false },
  'request-limit': { message: 'wait until the request is accepted', retry: false },
  blocked: { message: 'one of the two has blocked the other', retry: false },
  'not-opted-in': { message: 'the account is not reachable over that network', retry: false },
  'rate-limited': { message: 'too many requests', retry: true },
  'handle-taken': { message: 'another account has this handle', retry: false },
  unlinked: { message: 'this device was unlinked', retry: false },
  unavailable: { message: 'a passing fault; it may have been done: send the very same again', retry: true },
  unsupported: { message: 'not supported by this provider', retry: false },
  'wrong-pin': { message: 'not the PIN of this link; the try was counted', retry: false },
  ended: { message: "this guest's chat is over", retry: false },
  'server-unreachable': { message: 'the server of this identifier does not answer now', retry: true },
}

/** All codes. */
export const hubErrorCodes = Object.keys(meanings) as readonly HubErrorCode[]

export interface HubErrorDetails {
  readonly cause?: unknown
  readonly retryAfterMs?: number
  /** direct-room-exists: the room that exists. */
  readonly room?: string
  /** pending-proposal: the proposals to commit, MLSMessage each. */
  readonly proposals?: readonly Uint8Array[]
  /** wrong-epoch: the room's epoch. */
  readonly epoch?: number
  /** ended: why. */
  readonly ended?: GuestEnd
}

/**
 * The hub's one error. Its message is a sentence fixed by the code, so that no value of a request can get into a log;
 * `cause` is for the metrics' eyes only and must not be logged whole.
 */
export class HubError extends Error {
  override readonly name = 'HubError'
  readonly code: HubErrorCode
  readonly retry: boolean
  readonly retryAfterMs: number
  readonly room: string
  readonly proposals: readonly Uint8Array[]
  readonly epoch: number
  readonly ended: GuestEnd | undefined

  constructor(code: HubErrorCode, details: HubErrorDetails = {}) {
    super(meanings[code].message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retry = meanings[code].retry
    this.retryAfterMs = details.retryAfterMs ?? 0
    this.room = details.room ?? ''
    this.proposals = details.proposals ?? []
    this.epoch = details.epoch ?? 0
    this.ended = details.ended
  }
}
