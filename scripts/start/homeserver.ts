import { appserviceUrl, readSecrets } from '../../src/config/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { defaultRegistration, registrationFile } from '../../src/edge/matrix/registration.ts'
import { type Synapse, startSynapse } from '../support/synapse.ts'
import type { Configuration } from './configuration.ts'
import { dataFolder } from './data.ts'

/** Starts the local Synapse, told of the service as its appservice. */
export async function startHomeserver(configuration: Configuration, python: string, port: number): Promise<Synapse> {
  const { config } = configuration
  const tokens = readSecrets(config, nodeCrypto).matrix
  if (!config.matrix || !tokens) throw new Error('the configuration has no matrix part')
  const registration = registrationFile({
    ...defaultRegistration,
    ...tokens,
    id: config.matrix.registrationId,
    url: appserviceUrl(config),
    domain: config.matrix.domain,
    botLocalpart: config.matrix.botLocalpart,
    userPrefix: config.matrix.ghostPrefix,
  })
  return startSynapse({
    python,
    folder: dataFolder('synapse'),
    port,
    domain: config.matrix.domain,
    registrations: [registration],
  })
}
