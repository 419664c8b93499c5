import type { NetworkServer } from '../../client/index.ts'
import { type Homeserver, isHomeserverError } from '../matrix/homeserver.ts'
import { openRate } from './rates.ts'
import type { PortalSettings } from './settings.ts'
import type { MatrixUsers } from './users.ts'

export interface ResolverOptions {
  readonly homeserver: Pick<Homeserver, 'call' | 'domain'>
  readonly users: Pick<MatrixUsers, 'ensure' | 'find'>
  readonly settings: Pick<PortalSettings, 'profileTimeoutMs' | 'newUsers'>
  readonly clock: () => number
  isOurs(mxid: string): boolean
  parse(text: string): string | undefined
}

/**
 * Answers the messenger's question who a Matrix id is: the account of that user, made when they are new. Nobody is behind
 * what is no Matrix id, one of our own, or of nobody whom the homeserver can find.
 */
export function matrixResolver(options: ResolverOptions): NetworkServer['resolve'] {
  const { homeserver, users, settings } = options
  const { profileTimeoutMs: timeoutMs } = settings
  const newUsers = openRate(settings.newUsers, options.clock)
  const find = async (mxid: string): Promise<'there' | 'nobody' | 'unreachable'> => {
    try {
      await homeserver.call('GET', `/_matrix/client/v3/profile/${encodeURIComponent(mxid)}`, { timeoutMs })
      return 'there'
    } catch (error) {
      if (!isHomeserverError(error)) throw error
      if (error.status === 404) return 'nobody'
      const server = mxid.slice(mxid.indexOf(':') + 1)
      // Our own homeserver fails: that is not the other one's fault, and passes.
      if (server === homeserver.domain && error.status !== 403) throw error
      if (error.retry) return 'unreachable'
      if (error.status !== 403) return 'nobody'
      // Some servers show profiles to nobody outside: that a user cannot be seen does not mean that there is none. But our
      // homeserver answers the same when it may not speak to theirs at all.
      return (await hasKeysOf(mxid, server)) ? 'there' : 'unreachable'
    }
  }
  /** Whether the user's server says who their devices are: without that nothing could be encrypted for them. */
  const hasKeysOf = async (mxid: string, server: string): Promise<boolean> => {
    try {
      const body = { device_keys: { [mxid]: [] }, timeout: timeoutMs }
      const answer = await homeserver.call('POST', '/_matrix/client/v3/keys/query', { body, timeoutMs })
      return !Object.hasOwn(answer.failures ?? {}, server)
    } catch (error) {
      if (!isHomeserverError(error)) throw error
      return false
    }
  }
  return async (value) => {
    const mxid = options.parse(value)
    if (mxid === undefined || options.isOurs(mxid)) return { unresolved: 'not-reachable' }
    const known = await users.find(mxid)
    if (known !== undefined) return { account: known.account }
    const found = await find(mxid)
    if (found === 'there') {
      // Each is an account for good: a list of Matrix ids must not become a list of accounts.
      if (!newUsers.take('')) return { unresolved: 'rate-limited' }
      return { account: (await users.ensure(mxid)).account }
    }
    return { unresolved: found === 'nobody' ? 'not-reachable' : 'server-unreachable' }
  }
}
