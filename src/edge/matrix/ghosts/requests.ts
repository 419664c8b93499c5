import { RequestType } from '@matrix-org/matrix-sdk-crypto-wasm'
import { type Homeserver, HomeserverError, type Json, type Masquerade } from '../homeserver.ts'
import type { Log } from '../log.ts'
import { GhostError } from './errors.ts'
import type { Machine } from './machine.ts'

/** A request that the Olm machine wants sent. */
export interface MachineRequest {
  readonly id: string
  readonly type: RequestType
  readonly body: string
  readonly event_type?: string
  readonly txn_id?: string
}

const v3 = '/_matrix/client/v3'

export const masquerade = (machine: Machine): Masquerade => ({ user: machine.user, device: machine.device })

/**
 * Sends one request and tells the machine, which would take an error's body for success: only 2xx gets there.
 * @throws HomeserverError
 */
export async function sendRequest(homeserver: Homeserver, machine: Machine, request: MachineRequest): Promise<Json> {
  const [method, path] = routeOf(request)
  const answer = await homeserver.call(method, path, { as: masquerade(machine), body: request.body })
  await markSent(machine, request.id, request.type, answer)
  return answer
}

export async function markSent(machine: Machine, id: string, type: RequestType, answer: object): Promise<void> {
  await machine.tell((olm) => olm.markRequestAsSent(id, type, JSON.stringify(answer)))
}

function routeOf(request: MachineRequest): [string, string] {
  switch (request.type) {
    case RequestType.KeysUpload:
      return ['POST', `${v3}/keys/upload`]
    case RequestType.KeysQuery:
      return ['POST', `${v3}/keys/query`]
    case RequestType.KeysClaim:
      return ['POST', `${v3}/keys/claim`]
    case RequestType.SignatureUpload:
      return ['POST', `${v3}/keys/signatures/upload`]
    case RequestType.ToDevice: {
      const { event_type: type, txn_id: transaction } = request as Required<MachineRequest>
      return ['PUT', `${v3}/sendToDevice/${encodeURIComponent(type)}/${encodeURIComponent(transaction)}`]
    }
    default:
      throw new GhostError('machine', false)
  }
}

/** Passes after which what the machine still wants has to wait for the next occasion. */
const passes = 5

/**
 * Sends all that the machine wants sent. One at a time for each machine, or requests go out twice.
 * @throws HomeserverError when a keys query failed: whom to encrypt to, or who wrote, is not known then. Other failures
 *   are logged and tried again with the next call.
 */
export async function flushRequests(homeserver: Homeserver, machine: Machine, log: Log): Promise<void> {
  for (let pass = 0; pass < passes; pass++) {
    const requests = (await machine.call((olm) => olm.outgoingRequests())) as MachineRequest[]
    if (requests.length === 0) return
    let failed: HomeserverError | undefined
    for (const request of requests) {
      try {
        await sendRequest(homeserver, machine, request)
      } catch (error) {
        if (!(error instanceof HomeserverError)) throw error
        if (request.type === RequestType.KeysQuery) throw error
        failed = error
      }
    }
    if (failed) return log.warn({ errcode: failed.errcode, status: failed.status }, 'a ghost could not send its keys')
  }
}
