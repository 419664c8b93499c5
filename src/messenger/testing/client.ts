import type { MessageInitShape } from '@bufbuild/protobuf'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { TokenClaims } from '../../hub/index.ts'
import type { TestDevice } from '../../hub/testing/account.ts'
import type { World } from '../../hub/testing/world.ts'
import { inProcessPipe } from '../../protocol/in-process-pipe.ts'
import {
  accountProofBytes,
  authenticationBytes,
  type ClientFrame,
  ClientFrameSchema,
  ErrorCode,
  type FramePipe,
  type Hello,
  type ServerFrame,
  ServerFrameSchema,
} from '../../protocol/index.ts'
import { type Gateway, type GatewaySettings, openGateway } from '../index.ts'

/** For tests: the other end of a pipe, frame by frame. */
type FrameInit = Exclude<MessageInitShape<typeof ClientFrameSchema>, { $typeName: string }>
type RequestInit = Exclude<NonNullable<FrameInit['request']>, { case: undefined } | { case?: undefined }>
type Answer = NonNullable<Exclude<ServerFrame['body'], { case: undefined }>>
type Of<C extends Answer['case']> = Extract<Answer, { case: C }>['value']

/** A gateway whose tokens are the names of claims given here. */
export function openTestGateway(world: World, settings: Partial<GatewaySettings> = {}) {
  const tokens = new Map<string, TokenClaims>()
  const counted: string[] = []
  const faults: { error: unknown; where: string }[] = []
  const gateway = openGateway({
    hub: world.hub,
    crypto,
    async verifyToken(token) {
      if (token === 'slow') return new Promise<never>(() => undefined)
      const claims = tokens.get(token)
      if (!claims) throw new Error('no such token')
      return claims
    },
    settings,
    onFault: (error, where) => void faults.push({ error, where }),
    metrics: { count: (name, labels) => void counted.push(`${name} ${Object.values(labels ?? {}).join()}`.trim()) },
  })
  return {
    gateway,
    tokens,
    counted,
    faults,
    connect: (from?: string) => connect(gateway, from),
    token(claims: TokenClaims): string {
      const name = `token ${tokens.size}`
      tokens.set(name, claims)
      return name
    },
  }
}

function connect(gateway: Gateway, from?: string): Promise<TestClient> {
  const [ours, theirs] = inProcessPipe()
  gateway.connect(theirs, from)
  return openClient(ours)
}

export type TestClient = Awaited<ReturnType<typeof openClient>>

/** A busy machine is no defect. */
const patienceMs = 30_000

export async function openClient(pipe: FramePipe) {
  const events: { channel: number; body: Answer }[] = []
  const waiting = new Map<bigint, { resolve(body: Answer): void; reject(error: Error): void }>()
  const watchers = new Set<() => void>()
  let closed: { code: number; reason: string } | undefined
  let last = 0n
  pipe.onFrame((bytes) => {
    const { id, channel, body } = fromBinary(ServerFrameSchema, bytes)
    if (body.case === undefined) return
    const settle = waiting.get(id)
    waiting.delete(id)
    if (settle) settle.resolve(body)
    else events.push({ channel, body })
    for (const look of watchers) look()
  })
  pipe.onClose((code, reason) => {
    closed = { code, reason }
    // An answer that can no more come must not be waited for without end.
    for (const { reject } of waiting.values()) reject(new Error(`closed with ${code} before the answer`))
    for (const look of watchers) look()
  })

  const until = <T>(look: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        watchers.delete(check)
        reject(new Error(`waited in vain; events: ${events.map(({ body }) => body.case).join()}`))
      }, patienceMs)
      const check = () => {
        const found = look()
        if (found === undefined) return
        clearTimeout(timer)
        watchers.delete(check)
        resolve(found)
      }
      watchers.add(check)
      check()
    })

  /** Takes the next event of a kind out of those that came. */
  const event = <C extends Answer['case']>(kind: C, channel?: number): Promise<Of<C>> =>
    until(() => {
      const at = events.findIndex(
        ({ body, channel: on }) => body.case === kind && (channel === undefined || on === channel),
      )
      return at < 0 ? undefined : (events.splice(at, 1)[0]!.body.value as Of<C>)
    })

  const raw = (frame: Partial<ClientFrame> & { id: bigint }) =>
    pipe.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, frame as FrameInit)))

  const ask = (request: RequestInit, channel = 0, id = ++last): Promise<Answer> => {
    const answer = new Promise<Answer>((resolve, reject) => waiting.set(id, { resolve, reject }))
    answer.catch(() => {})
    pipe.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { id, channel, request })))
    return answer
  }
  /** The answer, which has to be of this kind. */
  const expect = async <C extends Answer['case']>(kind: C, request: RequestInit, channel = 0): Promise<Of<C>> => {
    const answer = await ask(request, channel)
    if (answer.case === kind) return answer.value as Of<C>
    throw new Error(
      `expected ${kind}, got ${answer.case === 'error' ? ErrorCode[(answer.value as Of<'error'>).code] : answer.case}`,
    )
  }
  /** The code of the refusal that the answer has to be. */
  const refused = async (request: RequestInit, channel = 0): Promise<string> => {
    const error = await expect('error', request, channel)
    return ErrorCode[error.code]
  }

  const hello: Hello = await event('hello')
  const proof = ({ keys, deviceId }: Pick<TestDevice, 'keys' | 'deviceId'>) =>
    crypto.sign(keys.privateKey, authenticationBytes(hello.challenge, hello.provider, deviceId))
  const authenticate = async (device: TestDevice): Promise<number> => {
    const value = { deviceId: device.deviceId, signature: proof(device) }
    return (await expect('authenticated', { case: 'authenticate', value })).channel
  }
  return {
    hello,
    events,
    pipe,
    raw,
    ask,
    expect,
    refused,
    event,
    until,
    get closed() {
      return closed
    },
    whenClosed: () => until(() => closed),
    /** The signature with which a device authenticates here. */
    proof,
    accountProof: (privateKey: Uint8Array, token: string) =>
      crypto.sign(privateKey, accountProofBytes(hello.challenge, token)),
    authenticate,
    /** Authenticated, with delivery begun. */
    async resume(device: TestDevice, window = 0): Promise<number> {
      const channel = await authenticate(device)
      await expect('done', { case: 'resume', value: { window } }, channel)
      return channel
    },
  }
}
