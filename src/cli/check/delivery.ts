import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from './calls.ts'
import { type Finding, ok, skipped, wrong } from './finding.ts'
import type { Probe } from './probe.ts'

const type = 'org.silta.check'
const device = 'SILTACHECK'
/**
 * Synapse pushes within a second, unless it has found nobody at our address a while ago: then it tries again after 2, 4,
 * 8, … seconds, and drops what is sent to devices meanwhile.
 */
export const deliveryPatienceMs = 20_000
/** So the message is sent again and again until one comes. */
const resendMs = 1_000

/**
 * Whether what encryption needs is delivered: a message is sent to a device of the bridge's own, and must come back in a
 * transaction, with the counts of keys. This is what the experimental switches of the homeserver and the fields of the
 * registration do; nothing else shows whether they are on.
 */
export async function checkDelivery(
  call: Call,
  probe: Probe,
  ghostPrefix: string,
  domain: string,
  patienceMs: number,
): Promise<Finding[]> {
  const about = 'delivery of keys'
  const localpart = `${ghostPrefix}check`
  const user = `@${localpart}:${domain}`
  const as = { user_id: user }

  const registered = await call('POST', '/_matrix/client/v3/register', {
    type: 'm.login.application_service',
    username: localpart,
    inhibit_login: true,
  })
  const errcode = 'body' in registered ? registered.body.errcode : undefined
  if (errcode === 'M_EXCLUSIVE')
    return [
      wrong(
        'ghosts',
        `the registration does not reserve ids that begin with @${ghostPrefix} for this bridge.`,
        'Write the registration anew and restart the homeserver.',
      ),
    ]
  if (!('status' in registered) || (registered.status !== 200 && errcode !== 'M_USER_IN_USE'))
    return [skipped(about, 'a user to try it with could not be registered.')]
  const made = await call('PUT', `/_matrix/client/v3/devices/${device}`, {}, as)
  if (!('status' in made) || made.status >= 300)
    return [
      wrong(
        'devices',
        'the homeserver lets no appservice create devices (MSC4190).',
        'A current Synapse can; the registration needs io.element.msc4190: true. Write the registration anew and restart.',
      ),
    ]
  try {
    let waiting = true
    const seen = probe.wait(type, patienceMs).finally(() => {
      waiting = false
    })
    while (waiting) {
      const transaction = `check-${Date.now()}`
      const messages = { [user]: { [device]: { check: transaction } } }
      await call('PUT', `/_matrix/client/v3/sendToDevice/${type}/${transaction}`, { messages }, as)
      await Promise.race([seen, sleep(resendMs)])
    }
    return judge(about, await seen)
  } finally {
    await call('DELETE', `/_matrix/client/v3/devices/${device}`, {}, as)
  }
}

function judge(about: string, { toDevice, keys, eventsWaiting }: Awaited<ReturnType<Probe['wait']>>): Finding[] {
  if (!toDevice && eventsWaiting)
    return [
      skipped(
        about,
        'messages wait for the bridge, so that nothing else is delivered now.',
        'Start silta, let it take them, stop it, and check again.',
      ),
    ]
  if (!toDevice)
    return [
      wrong(
        about,
        'to-device messages are not pushed to this bridge: it could not read a single encrypted message.',
        'In homeserver.yaml, under experimental_features: msc2409_to_device_messages_enabled: true',
        'In the registration: receive_ephemeral: true and de.sorunome.msc2409.push_ephemeral: true (silta registration writes both).',
        'Restart the homeserver.',
      ),
    ]
  const found = [ok(about, 'to-device messages are pushed.')]
  const counts = [...keys].some((key) => /device_one_time_keys?_count/.test(key))
  if (counts) found.push(ok('counts of keys', 'are pushed.'))
  else
    found.push(
      wrong(
        'counts of keys',
        'are not pushed: the bridge would not notice when its keys run out, or when somebody has a new device.',
        'In homeserver.yaml, under experimental_features: msc3202_transaction_extensions: true',
        'In the registration: org.matrix.msc3202: true (silta registration writes it).',
        'Restart the homeserver.',
      ),
    )
  return found
}
