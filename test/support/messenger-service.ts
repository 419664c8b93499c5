import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { WebSocketServer } from 'ws'
import { openBus } from '../../src/bus/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { openHub } from '../../src/hub/index.ts'
import {
  openGateway,
  openLocalIssuer,
  trialIssuerRoutes,
  webSocketPath,
  webSocketPipe,
} from '../../src/messenger/index.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import { openPages } from '../../src/pages/index.ts'
import { openDatabase } from '../../src/store/index.ts'

export interface MessengerService extends AsyncDisposable {
  /** http://127.0.0.1:port */
  readonly url: string
}

/**
 * Hub and gateway behind a WebSocket, with the trial issuer and no edge: what a messenger client alone needs.
 * `pages`: a folder that `buildPages` wrote, served as by the whole service.
 */
export async function startMessengerService({ pages }: { pages?: string } = {}): Promise<MessengerService> {
  const provider = 'messenger.example'
  const folder = mkdtempSync(join(tmpdir(), 'silta-messenger-'))
  const database = await openDatabase({ directory: join(folder, 'database') })
  const bus = openBus()
  const providerKeyPair = nodeCrypto.generateKeyPair()
  const hub = openHub({
    database,
    bus,
    crypto: nodeCrypto,
    mls: nodeMlsProvider(),
    provider,
    providerKeyPair,
    subjectKey: nodeCrypto.randomBytes(32),
  })
  const issuer = await openLocalIssuer({
    crypto: nodeCrypto,
    privateKey: nodeCrypto.randomBytes(32),
    issuer: 'silta-trial',
    audience: 'silta',
    kinds: ['person'],
  })
  const gateway = openGateway({ hub, crypto: nodeCrypto, verifyToken: (token) => issuer.verifier.verify(token) })
  const app = new Hono().route('/', trialIssuerRoutes(issuer))
  const providerKey = providerKeyPair.privateKey
  const served = pages && openPages({ crypto: nodeCrypto, provider, providerKey, trial: true, directory: pages })
  if (served) app.route('/', served)
  const server = createServer(getRequestListener(app.fetch))
  const sockets = new WebSocketServer({ server, path: webSocketPath })
  sockets.on('connection', (socket) => gateway.connect(webSocketPipe(socket)))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      gateway.drain()
      sockets.close()
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await hub.close()
      await bus.close()
      await database.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
