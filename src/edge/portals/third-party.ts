import { ClientError } from '../../client/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import type { AppserviceHandlers } from '../matrix/appservice.ts'
import type { PortalContext } from './context.ts'
import { openRate } from './rates.ts'

/** The name under which people are looked up: `/thirdparty/user/silta?handle=…`. */
const protocolName = 'silta'

export interface ThirdPartyOptions {
  readonly context: PortalContext
  /** What people call the messenger. */
  readonly network: string
  /** Finds somebody for nobody in particular: the homeserver does not say who asks. */
  lookUp(handle: string): Promise<AccountAddress>
}

/**
 * Answers the homeserver's look-ups on behalf of its users (Application Service API, "Third-party networks"). Whoever may
 * not be found, or does not exist, is not there.
 */
export function thirdParty({
  context,
  network,
  lookUp,
}: ThirdPartyOptions): Required<Pick<AppserviceHandlers, 'protocol' | 'findUsers' | 'findLocations' | 'queryUser'>> {
  const { ghosts, settings, clock } = context
  const lookUps = openRate(settings.thirdPartyLookUps, clock)
  const entry = (userid: string, handle?: string) => ({
    userid,
    protocol: protocolName,
    fields: handle === undefined ? {} : { handle },
  })
  return {
    async protocol(name) {
      if (name !== protocolName) return undefined
      return {
        user_fields: ['handle'],
        location_fields: [],
        icon: '',
        field_types: { handle: { regexp: '[^\\s@]{1,64}', placeholder: 'handle' } },
        instances: [{ desc: network, network_id: protocolName, fields: {} }],
      }
    },
    async findUsers(query) {
      if ('userId' in query) {
        return (await ghosts.accountOf(query.userId)) === undefined ? [] : [entry(query.userId)]
      }
      const handle = query.fields.handle?.replace(/^@/, '').trim()
      if (query.protocol !== protocolName || !handle || !lookUps.take('')) return []
      try {
        return [entry(await ghosts.ensure(await lookUp(handle)), handle)]
      } catch (error) {
        if (error instanceof ClientError) return []
        throw error
      }
    },
    findLocations: async () => [],
    queryUser: async (mxid) => (await ghosts.accountOf(mxid)) !== undefined,
  }
}
