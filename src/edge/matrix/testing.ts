/**
 * A homeserver in memory, as far as keys and to-device messages go, and a client with an Olm machine of its own to talk
 * to. For tests of faults that a real one cannot be made to have. Only tests import this file.
 */
import * as wasm from '@matrix-org/matrix-sdk-crypto-wasm'
import type { Delivery, ToDevice } from './ghosts.ts'
import type { Json } from './homeserver.ts'

type Keys = Record<string, Json>

interface Device {
  keys?: Json
  oneTime: Keys
  inbox: ToDevice[]
}

export interface FakeHomeserver {
  readonly fetch: typeof fetch
  readonly devices: Map<string, Device>
  /** Cross-signing keys by user. */
  readonly identities: Map<string, Record<string, Json>>
  /** Method and path of each call, without ids. */
  readonly calls: string[]
  /** Answers instead, when it gives something. */
  override: ((path: string, body: Json) => Response | undefined) | undefined
  /** A user for whom everything is refused. */
  refused: string | undefined
  request(user: string, device: string, path: string, body: Json): Json
  /** What waits for a device, as a transaction would bring it; taken away. */
  take(user: string, device: string): Delivery
  oneTimeKeys(user: string, device: string): number
}

export const nothing: Delivery = {
  toDevice: [],
  otkCounts: {},
  fallbackTypes: {},
  deviceLists: { changed: [], left: [] },
}

export function fakeHomeserver(): FakeHomeserver {
  const devices = new Map<string, Device>()
  const identities = new Map<string, Record<string, Json>>()
  const calls: string[] = []
  const deviceOf = (user: string, id: string) => {
    const name = `${user} ${id}`
    const device = devices.get(name) ?? { oneTime: {}, inbox: [] }
    devices.set(name, device)
    return device
  }
  const devicesOf = (user: string) =>
    [...devices].flatMap(([name, device]): [string, Device][] =>
      name.startsWith(`${user} `) ? [[name.slice(user.length + 1), device]] : [],
    )

  const handlers: Record<string, (user: string, id: string, body: Json, path: string) => Json> = {
    upload(user, id, body) {
      const device = deviceOf(user, id)
      if (body.device_keys) device.keys = body.device_keys as Json
      Object.assign(device.oneTime, body.one_time_keys)
      return { one_time_key_counts: { signed_curve25519: Object.keys(device.oneTime).length } }
    },
    query(_user, _id, body) {
      const answer: Record<string, Json> = {
        device_keys: {},
        master_keys: {},
        self_signing_keys: {},
        user_signing_keys: {},
      }
      for (const user of Object.keys(body.device_keys as Json)) {
        const known = devicesOf(user).filter(([, device]) => device.keys)
        answer.device_keys![user] = Object.fromEntries(known.map(([id, device]) => [id, device.keys!]))
        for (const kind of ['master', 'self_signing', 'user_signing'])
          if (identities.has(user)) answer[`${kind}_keys`]![user] = identities.get(user)![`${kind}_key`]
      }
      return structuredClone(answer)
    },
    claim(_user, _id, body) {
      const keys: Record<string, Json> = {}
      for (const [user, wanted] of Object.entries(body.one_time_keys as Record<string, Json>))
        for (const id of Object.keys(wanted)) {
          const { oneTime } = deviceOf(user, id)
          const [first] = Object.entries(oneTime)
          if (!first) continue
          delete oneTime[first[0]]
          keys[user] = { ...keys[user], [id]: { [first[0]]: first[1] } }
        }
      return { one_time_keys: keys, failures: {} }
    },
    device_signing(user, _id, body) {
      identities.set(user, body as Record<string, Json>)
      return {}
    },
    signatures(_user, _id, body) {
      for (const [user, objects] of Object.entries(body as Record<string, Record<string, Json>>))
        for (const [id, signed] of Object.entries(objects)) {
          const target = (devices.get(`${user} ${id}`)?.keys ?? identities.get(user)?.master_key) as Json
          target.signatures = { ...(target.signatures as Json), ...mergeSignatures(target, signed) }
        }
      return { failures: {} }
    },
    sendToDevice(sender, _id, body, path) {
      const type = decodeURIComponent(path.split('/').at(-2)!)
      for (const [user, messages] of Object.entries(body.messages as Record<string, Record<string, Json>>))
        for (const [id, content] of Object.entries(messages))
          deviceOf(user, id).inbox.push({ type, sender, content, to_user_id: user, to_device_id: id })
      return {}
    },
    sync(user, id) {
      const device = deviceOf(user, id)
      return { next_batch: 's', to_device: { events: device.inbox.splice(0) } }
    },
  }

  const request = (user: string, device: string, path: string, body: Json): Json => {
    const name = ['upload', 'query', 'claim'].find((each) => path.endsWith(`/keys/${each}`))
    const other = ['device_signing', 'signatures', 'sendToDevice', 'sync'].find((each) => path.includes(`/${each}`))
    const handler = handlers[name ?? other ?? '']
    calls.push(name ?? other ?? path.split('/')[4] ?? '')
    return handler ? handler(user, device, body, path) : {}
  }
  const home: FakeHomeserver = {
    devices,
    identities,
    calls,
    override: undefined,
    refused: undefined,
    request,
    async fetch(input, init) {
      const url = new URL(String(input))
      const body = init?.body === undefined ? {} : JSON.parse(String(init.body))
      const instead = home.override?.(url.pathname, body)
      if (instead) return instead
      const user = url.searchParams.get('user_id') ?? ''
      const device = url.searchParams.get('device_id') ?? ''
      if (user === home.refused) return Response.json({ errcode: 'M_FORBIDDEN' }, { status: 403 })
      return Response.json(request(user, device, url.pathname, body))
    },
    take: (user, device) => ({ ...nothing, toDevice: deviceOf(user, device).inbox.splice(0) }),
    oneTimeKeys: (user, device) => Object.keys(deviceOf(user, device).oneTime).length,
  }
  return home
}

function mergeSignatures(target: Json, signed: Json): Json {
  const before = (target.signatures ?? {}) as Record<string, Json>
  const merged = Object.entries((signed.signatures ?? {}) as Record<string, Json>)
  return Object.fromEntries(merged.map(([user, keys]) => [user, { ...before[user], ...keys }]))
}

/** A user with one device whose Olm machine is in memory. */
export interface FakeClient {
  readonly user: string
  readonly device: string
  /** Takes what waits for it. */
  receive(): Promise<void>
  /** Shares its room key and gives an event. */
  encrypt(room: string, body: string, readers: readonly string[]): Promise<Json>
  /** The decrypted body; throws when it cannot. */
  decrypt(room: string, content: object, sender: string): Promise<string>
  /** Forgets the room key, so that the next message needs a new one. */
  newRoomKey(room: string): Promise<void>
}

export async function fakeClient(home: FakeHomeserver, user: string, device = 'CLIENT'): Promise<FakeClient> {
  await wasm.initAsync()
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const olm = await wasm.OlmMachine.initialize(
    new wasm.UserId(user),
    new wasm.DeviceId(device),
    undefined,
    undefined,
    silent,
  )
  type Request = { id?: string; type: wasm.RequestType; body: string; event_type?: string; txn_id?: string }
  const paths: Partial<Record<wasm.RequestType, string>> = {
    [wasm.RequestType.KeysUpload]: '/keys/upload',
    [wasm.RequestType.KeysQuery]: '/keys/query',
    [wasm.RequestType.KeysClaim]: '/keys/claim',
    [wasm.RequestType.SignatureUpload]: '/keys/signatures/upload',
  }
  const send = async (request: Request) => {
    const path = paths[request.type] ?? `/sendToDevice/${request.event_type}/${request.txn_id}`
    const answer = home.request(user, device, path, JSON.parse(request.body))
    if (request.id) await olm.markRequestAsSent(request.id, request.type, JSON.stringify(answer))
  }
  const flush = async () => {
    for (const request of (await olm.outgoingRequests()) as Request[]) await send(request)
  }
  await flush()
  const bootstrap = await olm.bootstrapCrossSigning(false)
  home.request(user, device, '/keys/device_signing/upload', JSON.parse(bootstrap.uploadSigningKeysRequest.body))
  await send(bootstrap.uploadSignaturesRequest as unknown as Request)
  let events = 0
  const ids = (users: readonly string[]) => users.map((each) => new wasm.UserId(each))
  return {
    user,
    device,
    async receive() {
      const { toDevice } = home.take(user, device)
      const counts = new Map([['signed_curve25519', home.oneTimeKeys(user, device)]])
      await olm.receiveSyncChanges(JSON.stringify(toDevice), new wasm.DeviceLists(), counts)
      await flush()
    },
    async encrypt(room, body, readers) {
      await olm.updateTrackedUsers(ids(readers))
      await flush()
      const claim = await olm.getMissingSessions(ids(readers))
      if (claim) await send(claim)
      const settings = new wasm.EncryptionSettings()
      for (const share of await olm.shareRoomKey(new wasm.RoomId(room), ids(readers), settings))
        await send(share as unknown as Request)
      const content = JSON.stringify({ msgtype: 'm.text', body })
      return {
        type: 'm.room.encrypted',
        sender: user,
        room_id: room,
        event_id: `$${++events}`,
        origin_server_ts: events,
        content: JSON.parse(await olm.encryptRoomEvent(new wasm.RoomId(room), 'm.room.message', content)),
      }
    },
    async decrypt(room, content, sender) {
      const event = { type: 'm.room.encrypted', sender, room_id: room, event_id: '$x', origin_server_ts: 1, content }
      const settings = new wasm.DecryptionSettings(wasm.TrustRequirement.Untrusted)
      const decrypted = await olm.decryptRoomEvent(JSON.stringify(event), new wasm.RoomId(room), settings)
      return JSON.parse(decrypted.event).content.body
    },
    async newRoomKey(room) {
      await olm.invalidateGroupSession(new wasm.RoomId(room))
    },
  }
}
