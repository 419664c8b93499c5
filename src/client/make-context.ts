import { deviceIdOf } from '../identity/index.ts'
import type { Context } from './context.ts'
import { ClientError } from './errors.ts'
import { createEvents } from './events.ts'
import { createChanges } from './rooms/changes.ts'
import { createReceipts } from './rooms/receipts.ts'
import { createSends } from './rooms/sends.ts'
import { createTyping } from './rooms/typing.ts'
import { defaultSettings } from './settings.ts'
import { groupCache } from './state/group-cache.ts'
import { createKeyedMutex } from './state/mutex.ts'
import type { SelfRecord } from './state/records.ts'
import type { DeviceOptions, GroupCache } from './types.ts'

/** Devices opened in this process so far. */
let openings = 0

/**
 * A share of the cache for one opening of a device: between two openings another process may have had the device, and a
 * group state from before that must not be used again.
 */
function ownShare(cache: GroupCache): GroupCache {
  openings += 1
  const opening = openings
  return {
    size: cache.size,
    get: (key) => cache.get(`${opening} ${key}`),
    set: (key, state) => cache.set(`${opening} ${key}`, state),
    delete: (key) => cache.delete(`${opening} ${key}`),
  }
}

/** What the parts of a device work with; without `link`, of one that is not with the provider yet. */
export function makeContext(
  options: DeviceOptions,
  self: SelfRecord,
  link: Pick<Context, 'signal' | 'request' | 'online'> = {
    signal: new AbortController().signal,
    request: () => Promise.reject(new ClientError('closed', 'the device is not started')),
    online: () => false,
  },
): Context {
  const settings = { ...defaultSettings, ...options.settings }
  const hooks: Context['hooks'] = {}
  const context: Omit<Context, 'typing'> = {
    ...options,
    ...link,
    self,
    deviceId: deviceIdOf(options.crypto, self.deviceKey),
    settings,
    trust: options.trust ?? {
      providerKeys: (provider) => (provider === self.provider ? [self.providerKey] : []),
    },
    groupCache: ownShare(options.groupCache ?? groupCache(settings.cachedGroups)),
    events: createEvents(),
    alone: createKeyedMutex(),
    watchers: new Set(),
    sends: createSends(),
    changes: createChanges(),
    hooks,
    receipts: createReceipts({ settings, hooks }),
    clock: options.clock ?? Date.now,
    step: options.steps ?? (() => {}),
  }
  return Object.assign(context, { typing: createTyping(context) })
}
