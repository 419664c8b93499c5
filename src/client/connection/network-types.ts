/** What an edge answers for its network. */
import type { AccountAddress, DeviceId } from '../../identity/index.ts'

/** An edge answers look-ups for its network. Declared again after each reconnect, until `stop` is called. */
export interface ServedNetwork {
  /**
   * Devices of this network that are closed: `waiting` tells when something waits for one. Ends for each when it was told,
   * and for all with the link. Errors: rate-limited; those of the connection.
   */
  watch(devices: readonly DeviceId[]): Promise<void>
  stop(): void
}

/**
 * Why a look-up found no account. server-unreachable: the server that the identifier names does not answer now;
 * rate-limited: the edge has looked up too many lately. unavailable: the edge has a passing fault.
 */
export type Unresolved = 'not-reachable' | 'server-unreachable' | 'rate-limited' | 'unavailable'

export interface NetworkServer {
  network: string
  /** A token that names the operator; asked for on each declaration, so that it can be a fresh one. */
  accessToken: () => string | Promise<string>
  /** The account for an identifier of that network, or why there is none; what it throws is told as unavailable. */
  resolve: (value: string) => Promise<{ account: AccountAddress } | { unresolved: Unresolved }>
  /** The provider knows, on a new link, who serves the network: devices that are closed can be watched, all anew. */
  served?: (network: Pick<ServedNetwork, 'watch'>) => void
  /** Something waits for these devices, which were watched: each is told of once. */
  waiting?: (devices: readonly DeviceId[]) => void
}
