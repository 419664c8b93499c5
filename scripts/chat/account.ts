import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  ClientError,
  type Connection,
  connect,
  type Device,
  hasDevice,
  openDevice,
  registerPrimary,
  type Storage,
  startLink,
  webSocketPipe,
} from '../../src/client/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import { fileStorage } from './file-storage.ts'

export interface AccountSettings {
  /** Where the service is: http://host:port */
  service: string
  /** Folder with a folder for each account. */
  folder: string
  /** Lower-case letters, digits and ._- */
  name: string
  /** A fresh name becomes a further device of an account instead of a new account; called with the code to confirm. */
  link?: (code: string) => void
}

export interface OpenAccount extends AsyncDisposable {
  name: string
  device: Device
  storage: Storage
  connection: Connection
  /** The account, or this device of it, was made just now. */
  fresh: boolean
}

export const accountName = /^[a-z0-9][a-z0-9._-]{0,23}$/

/** Opens the account of that name on this machine, or makes it: a trial account of the service. Not started yet. */
export async function openAccount(settings: AccountSettings): Promise<OpenAccount> {
  const { name, service } = settings
  const storage = await fileStorage(join(settings.folder, name, 'device.sqlite'))
  const connection = connect(() => webSocketPipe(`${service.replace(/^http/, 'ws')}/messenger/v1`))
  const close = async () => {
    await connection.close()
    await storage.close()
  }
  try {
    const options = { connection, storage, crypto: nodeCrypto, mls: await nodeMlsProvider() }
    const fresh = !(await hasDevice(storage))
    const device = await openOrMake(settings, fresh, options)
    const end = async () => {
      await device.close()
      await close()
    }
    return { name, device, storage, connection, fresh, [Symbol.asyncDispose]: end }
  } catch (error) {
    await close()
    throw error
  }
}

async function openOrMake(
  { name, service, link }: AccountSettings,
  fresh: boolean,
  options: Parameters<typeof openDevice>[0],
): Promise<Device> {
  if (!fresh) return openDevice(options)
  if (link) {
    const { code, completed } = startLink(options)
    link(code)
    return completed
  }
  return registerPrimary({ ...options, accessToken: await trialToken(service, name) })
}

/** Gives a new account its handle: the name, or one with a number behind it when somebody has that already. */
export async function takeHandle(device: Device, name: string): Promise<string> {
  for (let number = 1; ; number++) {
    const handle = number === 1 ? name : `${name}${number}`
    try {
      await device.setHandle(handle)
      return handle
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'handle-taken') throw error
    }
  }
}

/** An access token of the built-in trial issuer. Each account is a subject of its own, also when two have one name. */
async function trialToken(service: string, name: string): Promise<string> {
  const subject = `${name}-${randomBytes(3).toString('hex')}`
  const answer = await fetch(`${service}/trial/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: subject }),
  }).catch((error: Error) => {
    const { code, message } = (error.cause ?? error) as { code?: string; message: string }
    throw new Error(`nothing answers at ${service} (${code ?? message}); is the service running there?`)
  })
  if (!answer.ok) {
    await answer.body?.cancel()
    throw new Error(`the service at ${service} makes no trial accounts (it answered ${answer.status})`)
  }
  return ((await answer.json()) as { token: string }).token
}
