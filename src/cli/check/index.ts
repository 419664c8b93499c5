import type { Config, FoundSecrets } from '../../config/index.ts'
import { appserviceUrl } from '../../config/index.ts'
import { senderLocalpart } from '../../edge/matrix/registration.ts'
import { checkAuditors } from './auditors.ts'
import { caller } from './calls.ts'
import { checkDelivery, deliveryPatienceMs } from './delivery.ts'
import { type Finding, ok, skipped } from './finding.ts'
import { checkOwnAddress, checkPing, checkReachable, checkToken, type HomeserverFacts } from './homeserver.ts'
import { checkIssuer } from './issuer.ts'
import { openProbe } from './probe.ts'
import { checkStorage } from './storage.ts'

export { type Finding, printFinding } from './finding.ts'

/**
 * Looks at everything around Silta that can be wrong, and tells each finding as soon as it is known. Works beside a
 * running Silta, and sees more without one: then it takes its place on the port for a moment.
 */
export async function checkSurroundings(
  {
    config,
    secrets,
    send = fetch,
    patienceMs = deliveryPatienceMs,
  }: { config: Config; secrets: FoundSecrets; send?: typeof fetch; patienceMs?: number },
  tell: (finding: Finding) => void,
): Promise<void> {
  const tellAll = (findings: readonly Finding[]) => findings.forEach(tell)
  tellAll(await checkStorage(config, secrets.databaseUrl))
  if (secrets.notMade.length > 0)
    tell(ok('generated keys', `${secrets.notMade.length} will be made by the first start.`))
  tellAll(await checkAuditors(config))
  tellAll(await checkIssuer(config, send))
  if (!config.matrix) {
    tell(skipped('homeserver', 'none is configured, so this runs without Matrix.'))
    return
  }
  if (!secrets.matrix) {
    tell(
      skipped(
        'homeserver',
        'there are no tokens yet that it could know us by.',
        'silta registration --output silta-registration.yaml makes them, for the homeserver to be given.',
      ),
    )
    return
  }
  const { homeserverUrl, domain, botLocalpart, registrationId, ghostPrefix } = config.matrix
  const facts: HomeserverFacts = {
    url: homeserverUrl,
    domain,
    senderLocalpart: senderLocalpart({ botLocalpart }),
    registrationId,
    appserviceUrl: appserviceUrl(config),
  }
  const call = caller(homeserverUrl, secrets.matrix.asToken, send)
  const reachable = await checkReachable(caller(homeserverUrl, undefined, send), facts)
  tellAll(reachable)
  if (reachable.some(isWrong)) return
  const token = await checkToken(call, facts)
  tellAll(token)
  if (token.some(isWrong)) return

  const probe = await openProbe(config.listen.host, config.listen.port, secrets.matrix.hsToken)
  try {
    const ping = await checkPing(call, facts, probe && ((transaction) => probe.pinged(transaction)))
    tell(ping)
    if (!isWrong(ping)) tell(await checkOwnAddress(caller(facts.appserviceUrl, secrets.matrix.hsToken, send), facts))
    if (!probe)
      tell(
        skipped(
          'delivery of keys',
          `something listens on port ${config.listen.port}, most likely Silta itself.`,
          'Stop it and check again to see whether the homeserver delivers what encryption needs.',
        ),
      )
    else if (!isWrong(ping)) tellAll(await checkDelivery(call, probe, ghostPrefix, domain, patienceMs))
  } finally {
    await probe?.close()
  }
}

const isWrong = (finding: Finding) => finding.state === 'wrong'
