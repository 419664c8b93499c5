import type { ClientConfig } from 'ts-mls/clientConfig.js'
import { defaultKeyPackageEqualityConfig } from 'ts-mls/keyPackageEqualityConfig.js'
import { maxRatchetSteps, retainedEpochs, retainedGenerations } from './limits.ts'

/**
 * Credentials are checked by this room (`authenticate`), so ts-mls is told to accept them; lifetimes are judged at the
 * log's time by whoever authenticates, never by the clock of this machine.
 */
export const clientConfig: ClientConfig = {
  authService: { validateCredential: async () => true },
  keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
  keyRetentionConfig: {
    retainKeysForEpochs: retainedEpochs,
    retainKeysForGenerations: retainedGenerations,
    maximumForwardRatchetSteps: maxRatchetSteps,
  },
  lifetimeConfig: { maximumTotalLifetime: 0n, validateLifetimeOnReceive: false, validateLifetimeOnSend: false },
  paddingConfig: { kind: 'padUntilLength', padUntilLength: 256 },
}
