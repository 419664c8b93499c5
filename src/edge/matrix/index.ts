/**
 * The Matrix side of the edge: the homeserver's Client-Server and Application Service APIs, and ghosts with their Olm
 * machines. What a message means, and what becomes of it, is for the portals.
 */
export { type Appservice, type AppserviceHandlers, createAppservice, type StoredEvent } from './appservice.ts'
export { transactionId } from './find-sent.ts'
export { type Decrypted, type DecryptResult, type GhostId, type Ghosts, isDecrypted, openGhosts } from './ghosts.ts'
export { type Homeserver, openHomeserver } from './homeserver.ts'
export { defaultMatrixSettings, type MatrixSettings } from './settings.ts'
export { startMatrix } from './startup.ts'
