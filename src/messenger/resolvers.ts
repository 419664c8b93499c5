import { HubError, type HubErrorCode } from '../hub/index.ts'
import { ErrorCode } from '../protocol/index.ts'
import type { GatewaySettings } from './settings.ts'

/** An edge that answers look-ups for a network, on one connection. */
export interface Server {
  network: string
  operator: string
  /** Sends a look-up to the edge. */
  ask(resolve: bigint, value: string): void
}

export interface Resolvers {
  /** Returns a function that ends it; look-ups under way are told that the edge is gone. */
  serve(server: Server): () => void
  /** Errors: malformed, unavailable (nobody serves the network, or nobody answered in time), and what the edge says. */
  resolve(network: string, value: string): Promise<{ account: string; operator: string }>
  /** An edge's answer; an empty account is one that cannot be reached, for the reason given. Errors: not-found. */
  answer(servers: ReadonlySet<Server>, answer: { resolve: bigint; account: string; code: ErrorCode }): void
}

interface Waiting {
  server: Server
  settle(found: string | HubError): void
}

/** What an edge may give as the reason; anything else means that the account cannot be reached. */
const reasons: ReadonlyMap<ErrorCode, HubErrorCode> = new Map([
  [ErrorCode.SERVER_UNREACHABLE, 'server-unreachable'],
  [ErrorCode.RATE_LIMITED, 'rate-limited'],
  [ErrorCode.UNAVAILABLE, 'unavailable'],
])

/** Look-ups for foreign identifiers, which only the edges can answer. The values pass through and are kept nowhere. */
export function openResolvers(settings: GatewaySettings): Resolvers {
  const servers = new Map<string, Server[]>()
  const waiting = new Map<bigint, Waiting>()
  let last = 0n
  return {
    serve(server) {
      servers.set(server.network, [...(servers.get(server.network) ?? []), server])
      return () => {
        const others = (servers.get(server.network) ?? []).filter((each) => each !== server)
        if (others.length > 0) servers.set(server.network, others)
        else servers.delete(server.network)
        for (const each of waiting.values()) if (each.server === server) each.settle(new HubError('unavailable'))
      }
    },
    resolve(network, value) {
      if (value.length === 0 || value.length > settings.identifierLength) throw new HubError('malformed')
      const [server, ...others] = servers.get(network) ?? []
      if (!server || waiting.size >= settings.resolves) throw new HubError('unavailable')
      // The next look-up asks the next edge.
      servers.set(network, [...others, server])
      last += 1n
      const id = last
      return new Promise((resolve, reject) => {
        const settle = (found: string | HubError) => {
          clearTimeout(timer)
          waiting.delete(id)
          if (found instanceof HubError) reject(found)
          else resolve({ account: found, operator: server.operator })
        }
        const timer = setTimeout(() => settle(new HubError('unavailable')), settings.resolveMs)
        waiting.set(id, { server, settle })
        server.ask(id, value)
      })
    },
    answer(own, { resolve, account, code }) {
      const asked = waiting.get(resolve)
      // Nobody answers what somebody else was asked.
      if (!asked || !own.has(asked.server)) throw new HubError('not-found')
      asked.settle(account === '' ? new HubError(reasons.get(code) ?? 'not-reachable') : account)
    },
  }
}
