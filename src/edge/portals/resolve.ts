import type { AccountAddress } from '../../identity/index.ts'
import { type Homeserver, HomeserverError } from '../matrix/homeserver.ts'
import type { PortalSettings } from './settings.ts'
import type { MatrixUsers } from './users.ts'

export interface ResolverOptions {
  readonly homeserver: Pick<Homeserver, 'call'>
  readonly users: Pick<MatrixUsers, 'ensure' | 'find'>
  readonly settings: Pick<PortalSettings, 'profileTimeoutMs'>
  isOurs(mxid: string): boolean
  parse(text: string): string | undefined
}

/**
 * Answers the messenger's question who a Matrix id is: the account of that user, made when they are new. Undefined for
 * what is no Matrix id, one of our own, or of nobody whom the homeserver can find.
 */
export function matrixResolver(options: ResolverOptions): (value: string) => Promise<AccountAddress | undefined> {
  const { homeserver, users, settings } = options
  const exists = async (mxid: string): Promise<boolean> => {
    try {
      await homeserver.call('GET', `/_matrix/client/v3/profile/${encodeURIComponent(mxid)}`, {
        timeoutMs: settings.profileTimeoutMs,
      })
      return true
    } catch (error) {
      if (!(error instanceof HomeserverError)) throw error
      // Some servers show profiles to nobody outside: that a user cannot be seen does not mean that there is none.
      return error.status === 403
    }
  }
  return async (value) => {
    const mxid = options.parse(value)
    if (mxid === undefined || options.isOurs(mxid)) return undefined
    const known = await users.find(mxid)
    if (known !== undefined) return known.account
    return (await exists(mxid)) ? (await users.ensure(mxid)).account : undefined
  }
}
