import type { AccountAddress } from '../identity/index.ts'

const providerCodes = [
  'malformed',
  'too-large',
  'unauthenticated',
  'not-allowed',
  'not-found',
  'not-reachable',
  'wrong-epoch',
  'pending-proposal',
  'direct-room-exists',
  'account-exists',
  'bad-token',
  'bad-certificate',
  'not-in-manifest',
  'old-manifest',
  'bad-commit',
  'bad-key-package',
  'no-key-packages',
  'consent-required',
  'request-limit',
  'blocked',
  'not-opted-in',
  'rate-limited',
  'handle-taken',
  'unlinked',
  'unavailable',
  'unsupported',
  'wrong-pin',
  'ended',
  'server-unreachable',
] as const

/** What the provider refuses: the error codes of the messenger protocol. */
export type ProviderCode = (typeof providerCodes)[number]

export function isProviderCode(text: string): text is ProviderCode {
  return (providerCodes as readonly string[]).includes(text)
}

/** What this device finds by itself. */
export type LocalCode =
  | 'disconnected' // the link broke, or there was none in time
  | 'timeout' // the provider did not answer in time
  | 'closed' // the connection or the device was closed here
  | 'protocol' // the provider said something that the protocol does not allow
  | 'provider-changed' // another endorsement key than the one this device registered under
  | 'key-changed' // another account key at an address that is known here
  | 'manifest-changed' // two different manifests with one number
  | 'bad-identity' // certificate, endorsement or KeyPackage that does not hold
  | 'bad-code' // a linking code that cannot be read
  | 'bad-link' // a guest link that cannot be read, or not all of it
  | 'wrong-host' // the provider names another account than the link does
  | 'not-invited' // a guest without a link of this account that is open
  | 'text-only' // something else than a text in a guest's chat
  | 'misleading-name' // a guest's name that could be taken for the host's or the provider's
  | 'not-primary' // only the primary device can do this
  | 'policy-broken' // a commit that the room's rule forbids, and the provider let pass
  | 'not-joined' // this device has no leaf in the room
  | 'no-such-room'
  | 'no-device' // storage holds no device
  | 'device-exists' // storage holds one already
  | 'storage-in-use' // another tab or process has this device open
  | 'storage' // storage failed or holds what cannot be read
  | 'handler' // an event handler of the application failed
  | 'undecryptable' // a message that cannot be opened
  | 'bad-content' // a message that opened and is not MIMI content

export type ClientErrorCode = ProviderCode | LocalCode

const sentences: Record<ClientErrorCode, string> = {
  malformed: 'The service could not read the request. This is a fault of the app.',
  'too-large': 'This is too large to be sent.',
  unauthenticated: 'The service did not recognise this device.',
  'not-allowed': 'This conversation does not allow that.',
  'not-found': 'There is nothing here by that name.',
  'not-reachable': 'This person cannot be reached, or does not wish to be.',
  'wrong-epoch': 'The conversation has moved on; it will be tried again.',
  'pending-proposal': 'A device is being removed first; it will be tried again.',
  'direct-room-exists': 'There is a conversation with this person already.',
  'account-exists': 'There is an account with another key for this login. Use the device that made it.',
  'bad-token': 'The login has run out. Sign in again.',
  'bad-certificate': 'The proof of identity does not hold.',
  'not-in-manifest': 'This device is not on the list of devices of its account.',
  'old-manifest': 'The list of devices is not the newest one.',
  'bad-commit': 'The service refused a change of the conversation.',
  'bad-key-package': 'The service refused a key of this device.',
  'no-key-packages': 'This person has no device that can be reached now.',
  'consent-required': 'This person wants to be asked first.',
  'request-limit': 'Wait until this person has accepted the conversation.',
  blocked: 'This person does not take messages from you.',
  'not-opted-in': 'This person is not reachable over that network.',
  'rate-limited': 'Too many at once. It will be possible again in a while.',
  'handle-taken': 'Somebody has this name already.',
  unlinked: 'This device was unlinked from its account.',
  unavailable: 'The service has a passing fault.',
  unsupported: 'The service does not know how to do this.',
  'wrong-pin': 'This is not the PIN. Ask the person who gave you the link.',
  ended: 'This chat has ended.',
  'server-unreachable': 'The server of this person cannot be reached now. Check the spelling, or try again later.',
  disconnected: 'There is no connection to the service.',
  timeout: 'The service did not answer in time.',
  closed: 'The app was closed while this was under way.',
  protocol: 'The service said something that makes no sense.',
  'provider-changed': 'The service presents another key than before. Nothing is sent until that is explained.',
  'key-changed': 'The key of this account has changed. Compare the safety number before you go on.',
  'manifest-changed': 'The service shows two different lists of devices for one account.',
  'bad-identity': 'The proof of identity of a device does not hold.',
  'bad-code': 'This code cannot be read. Copy it whole from the new device.',
  'bad-link': 'This link is incomplete. Copy it whole.',
  'wrong-host': 'The service names somebody else than the link does. Nothing was sent.',
  'not-invited': 'Somebody tried to write to you as a guest without an invitation of yours that is open.',
  'text-only': 'In a chat with a guest there can be text only.',
  'misleading-name': 'This name could be taken for somebody else’s. Choose another one.',
  'not-primary': 'Only the first device of the account can do this.',
  'policy-broken':
    'The service let through a change that this conversation does not allow. This device takes no further part in it.',
  'not-joined': 'This device is not part of that conversation (yet).',
  'no-such-room': 'There is no such conversation.',
  'no-device': 'There is no account on this device yet.',
  'device-exists': 'There is an account on this device already.',
  'storage-in-use': 'This account is open in another window.',
  storage: 'What this device has stored cannot be read or written.',
  handler: 'A part of the app failed.',
  undecryptable: 'A message could not be opened.',
  'bad-content': 'A message could not be read.',
}

/** Codes of what passes by itself. */
export const passing: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>([
  'wrong-epoch',
  'pending-proposal',
  'rate-limited',
  'unavailable',
  'server-unreachable',
  'disconnected',
  'timeout',
])

/**
 * The one error of this room. `message` is for a developer and holds no value of a user; `explanation` is a sentence
 * for a person. `retry`: the same call can succeed later.
 */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode
  readonly retry: boolean
  /** Milliseconds to wait before trying again, 0 when nothing was said. */
  readonly retryAfterMs: number

  constructor(
    code: ClientErrorCode,
    message?: string,
    options: { cause?: unknown; retry?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message ?? code, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retry = options.retry ?? passing.has(code)
    this.retryAfterMs = options.retryAfterMs ?? 0
  }

  get explanation(): string {
    return sentences[this.code]
  }
}

export type IdentityRefusalCode =
  | 'key-changed'
  | 'manifest-changed'
  | 'old-manifest'
  | 'not-in-manifest'
  | 'bad-identity'
  | 'wrong-host'
  | 'not-invited'

/** What somebody presented as an identity and this device refuses, with whose it claims to be. */
export class IdentityRefusal extends ClientError {
  readonly account: AccountAddress | undefined

  constructor(code: IdentityRefusalCode, account?: AccountAddress, cause?: unknown) {
    super(code, undefined, { cause })
    this.account = account
  }
}

/** The error as a ClientError: itself, or `code` with it as the cause. */
export function asClientError(error: unknown, code: ClientErrorCode): ClientError {
  return error instanceof ClientError ? error : new ClientError(code, undefined, { cause: error })
}
