import type { AccountAddress } from '../identity/index.ts'
import { explanations } from './explanations.ts'

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
  'wrong-clock',
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

/** Codes that say nothing about what was to be done: storage or application failed, or the device was not there for it. */
export const notAboutIt: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>([
  'storage',
  'handler',
  'closed',
  'unauthenticated',
  'unlinked',
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
    return explanations[this.code]
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
