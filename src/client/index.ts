/**
 * The client SDK: one device of the messenger, in Node and in the browser. An app, the edge and the tests all stand on it.
 *
 * It is given a connection to its provider, a storage with transactions, and cryptography; it knows no database and
 * imports nothing of Node. It must never let bytes leave before the state that made them is durable, never accept a leaf
 * without both signatures and its place in the manifest, and never tell the provider a secret.
 *
 * SQL storage is apart, in `storage/sql.ts`, since only servers have a database.
 */
export { connect } from './connection/connection.ts'
export { serveNetwork } from './connection/networks.ts'
export {
  type Channel,
  type ChannelOptions,
  type Connection,
  type ConnectionSettings,
  connectionDefaults,
} from './connection/types.ts'
export { webSocketPipe } from './connection/web-socket.ts'
export type { Answer, Request } from './connection/wire.ts'
export { hasDevice, joinByInvite, openDevice, registerPrimary, startLink } from './device.ts'
export { ClientError, type ClientErrorCode } from './errors.ts'
export { openInvite, prepareToJoin } from './guests/join.ts'
export { type ClientSettings, defaultSettings } from './settings.ts'
export { groupCache } from './state/group-cache.ts'
export { type ClientStep, clientSteps } from './steps.ts'
export { indexedDbStorage } from './storage/indexed-db.ts'
export { memoryStorage } from './storage/memory.ts'
export type * from './types.ts'
