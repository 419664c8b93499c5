/** What runs in the browser for test/client-in-browser.test.ts: the SDK as an app would use it. */
import {
  connect,
  type Device,
  hasDevice,
  indexedDbStorage,
  openDevice,
  registerPrimary,
  webSocketPipe,
} from '../../src/client/index.ts'
import { durableStorageContract, storageContract } from '../../src/client/storage/contract.ts'
import { readText, textMessage } from '../../src/content/index.ts'
import { webCrypto } from '../../src/crypto/web.ts'
import { webMlsProvider } from '../../src/mls/provider-web.ts'

const devices = new Map<string, Device>()
const heard: string[] = []

/** The device of that name, registered when the browser has none. */
async function open(name: string): Promise<string> {
  const storage = await indexedDbStorage(`device ${name}`)
  const connection = connect(() => webSocketPipe(`ws://${location.host}/messenger/v1`))
  const options = { connection, storage, crypto: webCrypto, mls: webMlsProvider() }
  const accessToken = JSON.stringify({ subject: name, kind: 'person' })
  const device = (await hasDevice(storage))
    ? await openDevice(options)
    : await registerPrimary({ ...options, accessToken })
  device.on('message', ({ content }) => {
    const text = readText(content)
    if (text) heard.push(`${name} ${text.plain}`)
  })
  await device.start()
  await device.ready()
  devices.set(name, device)
  return device.address
}

/** Writes from one to the other, which accepts when it has not. */
async function write(from: string, to: string, plain: string): Promise<void> {
  const [sender, receiver] = [devices.get(from)!, devices.get(to)!]
  const room = await sender.createDirectRoom(receiver.address)
  await (await sender.send(room, textMessage({ plain }))).accepted
  while (!heard.includes(`${to} ${plain}`)) await new Promise((resolve) => setTimeout(resolve, 5))
  if ((await receiver.room(room))?.standing === 'requested') await receiver.accept(room)
}

/** The storage contract on the browser's own IndexedDB: names of the cases that held. */
async function contract(): Promise<string[]> {
  const held: string[] = []
  for (const [name, run] of [...storageContract, ...durableStorageContract]) {
    await run({ open: indexedDbStorage }, `contract ${name}`)
    held.push(name)
  }
  return held
}

const page = { open, write, contract, heard: () => heard }
export type ClientPage = typeof page
Object.assign(globalThis, { page })
