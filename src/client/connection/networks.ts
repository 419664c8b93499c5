import { ClientError } from '../errors.ts'
import type { NetworkServer, ServedNetwork } from '../types.ts'
import type { Connection } from './types.ts'
import { expect } from './wire.ts'

/**
 * Answers look-ups for a network, for whoever runs an edge. Declared again with every new link.
 * The returned promise of the first declaration rejects with what the provider has against it.
 */
export async function serveNetwork(connection: Connection, server: NetworkServer): Promise<ServedNetwork> {
  const { network } = server
  const declare = async () => {
    const accessToken = await server.accessToken()
    expect(await connection.request({ case: 'serveNetwork', value: { network, accessToken } }), 'done')
  }
  const stopEvents = connection.onEvent((event) => {
    if (event.case !== 'resolveRequest' || event.value.network !== network) return
    answer(connection, event.value.resolve, () => server.resolve(event.value.value)).catch(() => {
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
  try {
    await declare()
  } catch (error) {
    if (!(error instanceof ClientError) || !error.retry) {
      stop()
      throw error
    }
  }
  return { stop }
}

async function answer(connection: Connection, resolve: bigint, look: () => Promise<string | undefined>): Promise<void> {
  let account = ''
  try {
    account = (await look()) ?? ''
  } finally {
    await connection.request({ case: 'answerResolve', value: { resolve, account } })
  }
}
