import type { ConfigProblem } from './errors.ts'
import type { ConfigFile } from './schema.ts'

/** What the single fields cannot say: fields that need or exclude each other, and what production asks for. */
export function checkRules(config: ConfigFile): ConfigProblem[] {
  return [...checkPairs(config), ...(config.production ? checkProduction(config) : [])]
}

function checkPairs({ database, matrix, tokens, audit }: ConfigFile): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const both = (group: string, name: string, values: readonly [unknown, unknown]) => {
    if (values[0] !== undefined && values[1] !== undefined)
      problems.push({
        path: `${group}.${name}`,
        problem: `is given twice, also as ${group}.${name}File.`,
        advice: 'Remove one of them.',
      })
  }
  both('database', 'url', [database.url, database.urlFile])
  both('matrix', 'asToken', [matrix?.asToken, matrix?.asTokenFile])
  both('matrix', 'hsToken', [matrix?.hsToken, matrix?.hsTokenFile])
  if ((tokens.issuer === undefined) !== (tokens.jwksUrl === undefined))
    problems.push({
      path: tokens.issuer === undefined ? 'tokens.issuer' : 'tokens.jwksUrl',
      problem: 'is missing: issuer and jwksUrl belong together.',
      advice: "Write both: the iss claim of your accounts' tokens, and where its public keys are.",
    })
  const store = [audit.s3Endpoint, audit.s3Bucket, audit.s3Region, audit.s3KeyFile]
  if (store.includes(undefined) && store.some((each) => each !== undefined))
    problems.push({
      path: 'audit.s3Endpoint',
      problem: 'is not complete: s3Endpoint, s3Bucket, s3Region and s3KeyFile belong together.',
      advice: 'Write all four, or none to publish the log in the data directory.',
    })
  if ((audit.signCommand === undefined) !== (audit.signKey === undefined))
    problems.push({
      path: audit.signCommand === undefined ? 'audit.signCommand' : 'audit.signKey',
      problem: 'is missing: signCommand and signKey belong together.',
      advice: 'Write both: the command that signs the compliance log, and the public key of its signatures.',
    })
  if (matrix?.asToken !== undefined && matrix.asToken === matrix.hsToken)
    problems.push({
      path: 'matrix.hsToken',
      problem: 'is the same secret as matrix.asToken.',
      advice: 'Each side needs its own: who learns one must not be able to act as the other.',
    })
  return problems
}

function checkProduction({ provider, sealing, audit, tokens }: ConfigFile): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const given = (path: string, value: unknown, advice: string) => {
    if (value === undefined) problems.push({ path, problem: 'must be given in production.', advice })
  }
  const generate = 'Make one with: head -c 32 /dev/urandom | base64'
  given('sealing.keyFile', sealing.keyFile, `It must not lie beside the database. ${generate}`)
  given('provider.keyFile', provider.keyFile, `Whoever has it can endorse any account. ${generate}`)
  given('audit.keyFile', audit.keyFile ?? audit.signCommand, `Whoever has it can sign another log. ${generate}`)
  given('tokens.issuer', tokens.issuer, "Write your account system's issuer and jwksUrl.")
  if (tokens.trial)
    problems.push({
      path: 'tokens.trial',
      problem: 'is on, but the trial issuer gives an account to anybody who asks.',
      advice: 'Remove it, or remove production: true.',
    })
  if (tokens.jwksUrl?.startsWith('http:'))
    problems.push({
      path: 'tokens.jwksUrl',
      problem: 'is fetched over plain HTTP: whoever stands in between could vouch for any account.',
      advice: 'Use https.',
    })
  return problems
}
