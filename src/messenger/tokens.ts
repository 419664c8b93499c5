import {
  createRemoteJWKSet,
  decodeJwt,
  errors,
  importJWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from 'jose'
import { type Crypto, toBase64Url } from '../crypto/index.ts'

/** Whose account a token is for, as its issuer vouches. */
export interface AccessClaims {
  /** Unique over all issuers: `{iss}#{sub}`. Names a person to the issuer, so it is kept only as a keyed hash. */
  readonly subject: string
  readonly kind: TokenKind
  /** Of an edge: the domain of who runs it. */
  readonly operator?: string
  /** Of an edge: the network it speaks for. */
  readonly network?: string
}

export type TokenKind = 'person' | 'business' | 'edge'

/**
 * - `malformed`: not a signed JWT, too long, or by an algorithm that is not taken
 * - `bad-signature`: not signed by a key of the issuer
 * - `expired`: its time is over or has not come
 * - `wrong-issuer`, `wrong-audience`: meant for somebody else
 * - `bad-claims`: a claim is missing or says what this issuer may not say
 * - `unavailable`: the issuer's keys cannot be fetched; trying again helps
 */
export type TokenErrorCode =
  | 'malformed'
  | 'bad-signature'
  | 'expired'
  | 'wrong-issuer'
  | 'wrong-audience'
  | 'bad-claims'
  | 'unavailable'

/** A token that is not taken. Its message never repeats anything of the token. */
export class TokenError extends Error {
  readonly code: TokenErrorCode
  readonly retry: boolean

  constructor(code: TokenErrorCode) {
    super(`access token: ${code}`)
    this.name = 'TokenError'
    this.code = code
    this.retry = code === 'unavailable'
  }
}

export interface TokenVerifier {
  /** @throws TokenError */
  verify(token: string): Promise<AccessClaims>
}

export interface TokenVerifierOptions {
  /** Exact `iss`; holds no `#`. */
  readonly issuer: string
  /** What `aud` must name. */
  readonly audience: string
  /** The issuer's keys (RFC 7517): where they are, or how to get the one that a token names. */
  readonly keys: URL | JWTVerifyGetKey
  /** Kinds of accounts that this issuer may vouch for. */
  readonly kinds?: readonly TokenKind[]
  readonly clock?: () => number
}

/** Public-key signatures only: with a shared secret, whoever can verify could also issue. */
const algorithms = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'RS256', 'PS256']
/** A token is a few claims and a signature; RSA makes it 700 bytes. */
const longestToken = 8 * 1024
/** Clocks of two well-kept machines differ by seconds. */
const clockToleranceSeconds = 30
/** A day: an account's token is used once, to make the account; a long-lived one is a password. */
const longestLifeSeconds = 24 * 3600
/** Fetching keys: give up after 5 s, and at most one attempt in 30 s for a key that nobody knows (a forged `kid`). */
const fetchOptions = { timeoutDuration: 5_000, cooldownDuration: 30_000, cacheMaxAge: 600_000 }

const named = /^[\x21-\x7e]{1,256}$/

/** Verifies access tokens of one issuer (JWT, RFC 7519; claims sub, kind, operator, network, exp). */
export function openTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { issuer, audience, keys, kinds = ['person', 'business', 'edge'], clock = Date.now } = options
  const key = keys instanceof URL ? createRemoteJWKSet(keys, fetchOptions) : keys
  return {
    async verify(token) {
      if (token.length > longestToken) throw new TokenError('malformed')
      const { payload } = await jwtVerify(token, key, {
        issuer,
        audience,
        algorithms,
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(clock()),
        requiredClaims: ['sub', 'exp'],
      }).catch((error: unknown) => {
        throw new TokenError(codeOf(error))
      })
      return readClaims(payload, issuer, kinds, clock() / 1000)
    },
  }
}

/** Takes the tokens of several issuers: each is asked for its own only. */
export function acceptIssuers(issuers: Readonly<Record<string, TokenVerifier>>): TokenVerifier {
  const verifiers = new Map(Object.entries(issuers))
  return {
    async verify(token) {
      if (token.length > longestToken) throw new TokenError('malformed')
      const verifier = verifiers.get(issuerOf(token))
      if (!verifier) throw new TokenError('wrong-issuer')
      return verifier.verify(token)
    },
  }
}

export interface LocalIssuerOptions {
  readonly crypto: Crypto
  /** Ed25519 seed, 32 bytes. */
  readonly privateKey: Uint8Array
  readonly issuer: string
  readonly audience: string
  readonly kinds: readonly TokenKind[]
  readonly clock?: () => number
}

export interface LocalIssuer {
  readonly issuer: string
  issue(claims: {
    readonly sub: string
    readonly kind: TokenKind
    readonly operator?: string
    readonly network?: string
    readonly lifetimeSeconds?: number
  }): Promise<string>
  /** Takes what this issuer issued, and only the kinds that it may issue. */
  readonly verifier: TokenVerifier
}

/**
 * An issuer inside this process: for the edge, which vouches for its own network's users, and, as the trial issuer, for
 * trying and testing. The trial issuer gives a token to anybody, so it must be off in production.
 */
export async function openLocalIssuer(options: LocalIssuerOptions): Promise<LocalIssuer> {
  const { crypto, privateKey, issuer, audience, kinds, clock = Date.now } = options
  const x = toBase64Url(crypto.publicKeyOf(privateKey))
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x }
  const signing = await importJWK({ ...publicJwk, d: toBase64Url(privateKey) }, 'EdDSA')
  const verifying = await importJWK(publicJwk, 'EdDSA')
  return {
    issuer,
    issue({ sub, kind, operator, network, lifetimeSeconds = 300 }) {
      const now = Math.floor(clock() / 1000)
      return new SignJWT({ kind, ...(operator ? { operator } : {}), ...(network ? { network } : {}) })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(sub)
        .setIssuedAt(now)
        .setExpirationTime(now + lifetimeSeconds)
        .sign(signing)
    },
    verifier: openTokenVerifier({ issuer, audience, keys: async () => verifying, kinds, clock }),
  }
}

/** The issuer that a token says it is from. Nothing is believed yet: it only chooses whose keys to check with. */
function issuerOf(token: string): string {
  try {
    return decodeJwt(token).iss ?? ''
  } catch {
    throw new TokenError('malformed')
  }
}

function readClaims(payload: JWTPayload, issuer: string, kinds: readonly TokenKind[], now: number): AccessClaims {
  const { sub, exp, kind, operator, network } = payload
  const known = kinds.find((one) => one === kind)
  if (!known || typeof sub !== 'string' || !named.test(sub)) throw new TokenError('bad-claims')
  if (typeof exp !== 'number' || exp - now > longestLifeSeconds + clockToleranceSeconds)
    throw new TokenError('bad-claims')
  const subject = `${issuer}#${sub}`
  const ofEdge = [operator, network]
  if (known === 'edge') {
    if (!ofEdge.every((value) => typeof value === 'string' && named.test(value))) throw new TokenError('bad-claims')
    return { subject, kind: known, operator: operator as string, network: network as string }
  }
  // An account that is no edge must not carry what only an edge's posture shows.
  if (ofEdge.some((value) => value !== undefined)) throw new TokenError('bad-claims')
  return { subject, kind: known }
}

function codeOf(error: unknown): TokenErrorCode {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'iss') return 'wrong-issuer'
    if (error.claim === 'aud') return 'wrong-audience'
    if (error.claim === 'nbf' || error.claim === 'exp') return error.reason === 'missing' ? 'bad-claims' : 'expired'
    return 'bad-claims'
  }
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey)
    return 'bad-signature'
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'bad-signature'
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return 'unavailable'
  const malformed = [errors.JWSInvalid, errors.JWTInvalid, errors.JOSEAlgNotAllowed, errors.JOSENotSupported]
  if (malformed.some((type) => error instanceof type)) return 'malformed'
  // What is left comes from fetching the keys: no connection, or an answer other than 200.
  return 'unavailable'
}
