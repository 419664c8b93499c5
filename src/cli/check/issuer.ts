import type { Config } from '../../config/index.ts'
import { trialIssuerIsOn } from '../../config/index.ts'
import { caller } from './calls.ts'
import { type Finding, ok, warning, wrong } from './finding.ts'

/** Whether access tokens can be verified. */
export async function checkIssuer(config: Config, send: typeof fetch): Promise<Finding[]> {
  const about = 'token issuer'
  const { issuer, jwksUrl } = config.tokens
  const found: Finding[] = []
  if (issuer && jwksUrl) {
    const answer = await caller(jwksUrl, undefined, send)('GET', '')
    const keys = 'body' in answer && answer.status === 200 ? answer.body.keys : undefined
    if (Array.isArray(keys) && keys.length > 0) found.push(ok(about, `its ${keys.length} public keys can be fetched.`))
    else if ('failed' in answer)
      found.push(
        wrong(
          about,
          `its keys cannot be fetched from ${jwksUrl} (${answer.detail}).`,
          'Nobody can register until they can.',
        ),
      )
    else
      found.push(
        wrong(
          about,
          `${jwksUrl} holds no keys (status ${answer.status}).`,
          'Write the address of the JWKS (RFC 7517).',
        ),
      )
  }
  if (trialIssuerIsOn(config))
    found.push(
      warning(
        'trial issuer',
        'gives an account to anybody who asks.',
        'Right for trying. For real use write production: true and an issuer under tokens.',
      ),
    )
  return found
}
