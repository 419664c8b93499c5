/** The issuers of access tokens: the messenger's own, the one on trial, and the one inside this process for the edge's accounts. */
import type { Config, Secrets } from './config/index.ts'
import { nodeCrypto } from './crypto/node.ts'
import {
  acceptIssuers,
  type LocalIssuer,
  openLocalIssuer,
  openTokenVerifier,
  type TokenKind,
  type TokenVerifier,
} from './messenger/index.ts'

/** Label under which the issuer for the edge's accounts is derived; its tokens never leave this process. */
const edgeIssuerLabel = 'silta edge issuer v1'
const edgeIssuerName = 'urn:silta:edge'
const trialIssuerName = 'urn:silta:trial'

/** Whose word is taken for who an account belongs to. */
export interface Tokens {
  readonly verifier: TokenVerifier
  /** Inside this process only: vouches for the users of the edge's network. */
  readonly edge: LocalIssuer
  readonly trial: LocalIssuer | undefined
}

export async function openTokens(config: Config, secrets: Secrets): Promise<Tokens> {
  const { issuer, audience, jwksUrl } = config.tokens
  const local = (name: string, privateKey: Uint8Array, kinds: readonly TokenKind[]) =>
    openLocalIssuer({ crypto: nodeCrypto, privateKey, issuer: name, audience, kinds })
  const edgeKey = nodeCrypto.hkdfSha256(secrets.providerKey, new Uint8Array(), edgeIssuerLabel, 32)
  const edge = await local(edgeIssuerName, edgeKey, ['edge'])
  const trial = secrets.trialIssuerKey && (await local(trialIssuerName, secrets.trialIssuerKey, ['person', 'business']))
  const issuers: Record<string, TokenVerifier> = { [edgeIssuerName]: edge.verifier }
  if (trial) issuers[trialIssuerName] = trial.verifier
  if (issuer && jwksUrl) {
    const keys = new URL(jwksUrl)
    issuers[issuer] = openTokenVerifier({ issuer, audience, keys, kinds: ['person', 'business'] })
  }
  return { verifier: acceptIssuers(issuers), edge, trial }
}
