import type { Answer, Call } from './calls.ts'
import { type Finding, ok, skipped, warning, wrong } from './finding.ts'

export interface HomeserverFacts {
  readonly url: string
  readonly domain: string
  readonly senderLocalpart: string
  readonly registrationId: string
  /** Where the homeserver is told to reach this process. */
  readonly appserviceUrl: string
}

/** Signed things are judged by the hub's clock; beyond this, devices and homeserver disagree about what is valid. */
const clockToleranceMs = 30_000

/** Whether the homeserver can be reached, and whether its clock agrees with this one. Asked without a token. */
export async function checkReachable(call: Call, { url }: HomeserverFacts, now = Date.now): Promise<Finding[]> {
  const about = 'homeserver'
  const asked = now()
  const answer = await call('GET', '/_matrix/client/versions')
  if ('failed' in answer) return [unreachable(about, url, answer)]
  const { versions } = answer.body
  if (answer.status !== 200 || !Array.isArray(versions))
    return [
      wrong(
        about,
        `${url} answers, but not as a Matrix homeserver (status ${answer.status}).`,
        'Write its Client-Server API as matrix.homeserverUrl, without /_matrix.',
      ),
    ]
  const found = [ok(about, `${url} answers.`)]
  if (answer.date) {
    // The Date header has whole seconds, so half of one is on average lost.
    const difference = answer.date.getTime() + 500 - (asked + now()) / 2
    const seconds = Math.round(Math.abs(difference) / 1000)
    if (Math.abs(difference) > clockToleranceMs)
      found.push(
        warning(
          'clock',
          `this machine and the homeserver differ by ${seconds} s.`,
          'Set both by NTP: certificates and tokens are judged by the time.',
        ),
      )
    else found.push(ok('clock', 'this machine and the homeserver agree.'))
  }
  return found
}

function unreachable(about: string, url: string, { failed, detail }: Extract<Answer, { failed: string }>): Finding {
  const host = new URL(url).host
  const words = {
    name: [`the name ${host} is not known.`, 'Is matrix.homeserverUrl right? In containers, are both in one network?'],
    refused: [
      `nothing listens at ${host}.`,
      'Is the homeserver running, and does it listen there? In a container, localhost is the container itself.',
    ],
    tls: [
      `no trusted TLS connection to ${host} (${detail}).`,
      'Is it http there? A certificate of your own authority is trusted with NODE_EXTRA_CA_CERTS.',
    ],
    timeout: [`${host} does not answer in time.`, 'Is a firewall in between, or the homeserver overloaded?'],
    'not-json': [
      `${url} answers with something that is not JSON (${detail}).`,
      'Is it the homeserver, or a web page? Write the Client-Server API, without /_matrix.',
    ],
    other: [`${host} cannot be reached (${detail}).`, 'Look at the network between this process and the homeserver.'],
  } as const
  const [said, advice] = words[failed]
  return wrong(about, said, advice)
}

/** Whether the homeserver knows this bridge's token, under the name and server name that the configuration has. */
export async function checkToken(call: Call, facts: HomeserverFacts): Promise<Finding[]> {
  const about = 'appservice token'
  const answer = await call('GET', '/_matrix/client/v3/account/whoami')
  if ('failed' in answer) return [unreachable(about, facts.url, answer)]
  if (answer.status === 401 || answer.status === 403)
    return [
      wrong(
        about,
        'the homeserver does not know this as_token.',
        'Write the registration anew: silta registration --output FILE',
        'Name that file under app_service_config_files in homeserver.yaml, and restart the homeserver: it reads it only then.',
      ),
    ]
  const user = String(answer.body.user_id ?? '')
  if (answer.status !== 200 || !user.includes(':'))
    return [wrong(about, `the homeserver gives an answer that is not understood (status ${answer.status}).`)]
  const localpart = user.slice(1, user.indexOf(':'))
  const domain = user.slice(user.indexOf(':') + 1)
  const found = [ok(about, 'the homeserver accepts it.')]
  if (domain === facts.domain) found.push(ok('server name', `is ${domain}.`))
  else
    found.push(
      wrong(
        'server name',
        `the homeserver's is ${domain}, but matrix.domain is ${facts.domain}.`,
        `Write domain: ${domain} and the registration anew.`,
      ),
    )
  if (localpart !== facts.senderLocalpart)
    found.push(
      wrong(
        'bridge bot',
        `the homeserver's registration is sent by ${localpart}, but matrix.botLocalpart asks for ${facts.senderLocalpart}.`,
        'Write the registration anew and restart the homeserver.',
      ),
    )
  return found
}

/**
 * Whether the homeserver reaches us: it is asked to ping, and says what came of it (Client-Server API, appservice ping).
 *
 * @param cameHere whether the ping with a transaction id was seen here; undefined while the bridge itself has the port
 */
export async function checkPing(
  call: Call,
  facts: HomeserverFacts,
  cameHere?: (transaction: string) => boolean,
): Promise<Finding> {
  const about = 'way back'
  const transaction = `silta-check-${crypto.randomUUID()}`
  const path = `/_matrix/client/v1/appservice/${encodeURIComponent(facts.registrationId)}/ping`
  let answer = await call('POST', path, { transaction_id: transaction })
  // Synapse now and then answers 502 for a ping that went well.
  for (let again = 0; again < 2 && 'status' in answer && answer.status === 502; again++)
    answer = await call('POST', path, { transaction_id: transaction })
  if ('failed' in answer) return unreachable(about, facts.url, answer)
  if (answer.status === 200 && cameHere && !cameHere(transaction))
    return wrong(
      about,
      'the homeserver is answered at the address in its registration, but not by this configuration: something else listens there.',
      'Does another Silta run, or is listen.port another than the one in the registration?',
      `Write the registration anew (this configuration says ${facts.appserviceUrl}) and restart the homeserver.`,
    )
  if (answer.status === 200) return ok(about, 'the homeserver reaches the address in its registration.')
  const { errcode, status } = answer.body
  const there = `the homeserver does not reach ${facts.appserviceUrl}`
  switch (errcode) {
    case 'M_URL_NOT_SET':
      return wrong(about, 'the registration has no url.', 'Write the registration anew and restart the homeserver.')
    case 'M_FORBIDDEN':
      return wrong(
        about,
        `the homeserver knows this token under another id than ${facts.registrationId}.`,
        'Make matrix.registrationId and the id in the registration the same, and restart the homeserver.',
      )
    case 'M_BAD_STATUS':
      if (status === 401 || status === 403)
        return wrong(
          about,
          'the homeserver comes with another hs_token than this one.',
          'Write the registration anew and restart the homeserver.',
        )
      return wrong(
        about,
        `at ${facts.appserviceUrl} something else answers (status ${Number(status)}).`,
        'Is matrix.appserviceUrl the address of this process?',
      )
    case 'M_CONNECTION_TIMEOUT':
      return wrong(about, `${there} in time.`, 'Is a firewall in between?')
    case 'M_CONNECTION_FAILED':
      return wrong(
        about,
        `${there}.`,
        'Write as matrix.appserviceUrl an address that the homeserver can reach; in a container, localhost is the container itself.',
        'Write the registration anew and restart the homeserver.',
      )
    case 'M_UNRECOGNIZED':
      return skipped(
        about,
        'this homeserver has no ping for appservices (Matrix 1.7); whether it reaches us cannot be seen.',
      )
    default:
      return wrong(about, `${there} (status ${answer.status}).`)
  }
}

/** Whether the address that the registration is written with leads to this bridge, and that takes the same hs_token. */
export async function checkOwnAddress(call: Call, { appserviceUrl }: HomeserverFacts): Promise<Finding> {
  const about = 'own address'
  const answer = await call('POST', '/_matrix/app/v1/ping', {})
  if ('failed' in answer || (answer.status !== 200 && answer.status !== 401 && answer.status !== 403))
    return warning(
      about,
      `seen from this machine, no bridge answers at ${appserviceUrl} (${'failed' in answer ? answer.detail : `status ${answer.status}`}).`,
      'That is right where only the homeserver can reach this address, as in a network of containers.',
      'Otherwise write as matrix.appserviceUrl where Silta listens, and the registration anew.',
    )
  if (answer.status === 200) return ok(about, `${appserviceUrl} leads to this bridge.`)
  return wrong(
    about,
    `what answers at ${appserviceUrl} does not take this hs_token: it was started with another.`,
    'Is this the configuration, and the data directory, that Silta runs with?',
  )
}
