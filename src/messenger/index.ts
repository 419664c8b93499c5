/**
 * The messenger's gateway: what devices and edges connect to. It carries frames over a WebSocket or a pipe inside the
 * process, finds out which device is asking, calls the hub, and delivers no faster than the other side takes.
 *
 * It decides nothing about rooms or people: that is the hub's. It must never log or repeat what a frame holds, never
 * buffer without bound, and never stop for anything that comes through a pipe.
 */
export { type Gateway, type GatewayOptions, openGateway } from './gateway.ts'
export { gatewayCounters, gatewayTimers } from './instruments.ts'
export { addressIn, openNetworks } from './networks.ts'
export { openRates } from './rate.ts'
export { defaultGatewaySettings, type GatewaySettings } from './settings.ts'
export {
  type AccessClaims,
  acceptIssuers,
  type LocalIssuer,
  type LocalIssuerOptions,
  openLocalIssuer,
  openTokenVerifier,
  TokenError,
  type TokenErrorCode,
  type TokenKind,
  type TokenVerifier,
  type TokenVerifierOptions,
} from './tokens.ts'
export { trialIssuerRoutes } from './trial-issuer.ts'
export { webSocketPath, webSocketPipe } from './web-socket.ts'
