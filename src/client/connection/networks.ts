import type { DeviceId } from '../../identity/index.ts'
import { ErrorCode } from '../../protocol/index.ts'
import { ClientError } from '../errors.ts'
import type { NetworkServer, ServedNetwork, Unresolved } from '../types.ts'
import type { Connection } from './types.ts'
import { expect } from './wire.ts'

/**
 * Answers look-ups for a network, for whoever runs an edge. Declared again with every new link.
 * The returned promise of the first declaration rejects with what the provider has against it.
 */
export async function serveNetwork(connection: Connection, server: NetworkServer): Promise<ServedNetwork> {
  const { network } = server
  const watch = async (devices: readonly DeviceId[]) => {
    for (let from = 0; from < devices.length; from += watchedAtOnce) {
      const deviceIds = devices.slice(from, from + watchedAtOnce)
      expect(await connection.request({ case: 'watchDevices', value: { deviceIds } }), 'done')
    }
  }
  const declare = async () => {
    const accessToken = await server.accessToken()
    expect(await connection.request({ case: 'serveNetwork', value: { network, accessToken } }), 'done')
    server.served?.(served)
  }
  const stopEvents = connection.onEvent((event) => {
    if (event.case === 'devicesWaiting') return server.waiting?.(event.value.deviceIds as DeviceId[])
    if (event.case !== 'resolveRequest' || event.value.network !== network) return
    answer(connection, event.value.resolve, (value) => server.resolve(value), event.value.value).catch(() => {
      // The provider gives up a look-up that nobody answers.
    })
  })
  const stopLink = connection.onLink((up) => {
    // A refusal that passes is met by the next link; another one was met by the first declaration.
    if (up) declare().catch(() => {})
  })
  const stop = () => {
    stopEvents()
    stopLink()
  }
  const served: ServedNetwork = { watch, stop }
  try {
    await declare()
  } catch (error) {
    if (!(error instanceof ClientError) || !error.retry) {
      stop()
      throw error
    }
  }
  return served
}

/** Devices in one request, as the provider takes them. */
const watchedAtOnce = 1_000

const codes: Readonly<Record<Unresolved, ErrorCode>> = {
  'not-reachable': ErrorCode.NOT_REACHABLE,
  'server-unreachable': ErrorCode.SERVER_UNREACHABLE,
  'rate-limited': ErrorCode.RATE_LIMITED,
  unavailable: ErrorCode.UNAVAILABLE,
}

async function answer(connection: Connection, resolve: bigint, look: NetworkServer['resolve'], value: string) {
  let found: Awaited<ReturnType<NetworkServer['resolve']>> = { unresolved: 'unavailable' }
  try {
    found = await look(value)
  } finally {
    const given = 'account' in found ? { account: found.account } : { code: codes[found.unresolved] }
    await connection.request({ case: 'answerResolve', value: { resolve, ...given } })
  }
}
