export interface RegistrationSettings {
  /** Names the appservice to the homeserver; also in the path of a ping. */
  readonly id: string
  /** Where the homeserver reaches us, without /_matrix. */
  readonly url: string
  readonly asToken: string
  readonly hsToken: string
  /** The server name in Matrix ids. */
  readonly domain: string
  /** Localpart of the bridge bot. */
  readonly botLocalpart: string
  /** What the localparts of ghosts, and of our aliases, begin with. */
  readonly userPrefix: string
  /** Names for /thirdparty look-ups. */
  readonly protocols: readonly string[]
}

export const defaultRegistration = {
  id: 'silta',
  botLocalpart: 'silta',
  userPrefix: 'silta_',
  protocols: ['silta'],
} as const satisfies Partial<RegistrationSettings>

/**
 * The appservice registration as an object, for a YAML file named in `app_service_config_files`. Both names of ephemeral delivery are asked for: without either of them
 * Synapse pushes no to-device messages at all, so no room key. Synapse itself needs two switches more: `homeserverSwitches`.
 */
export function registrationFile(settings: RegistrationSettings): Record<string, unknown> {
  const domain = escaped(settings.domain)
  const prefix = escaped(settings.userPrefix)
  return {
    id: settings.id,
    url: settings.url,
    as_token: settings.asToken,
    hs_token: settings.hsToken,
    sender_localpart: senderLocalpart(settings),
    rate_limited: false,
    protocols: [...settings.protocols],
    namespaces: {
      users: [
        { exclusive: true, regex: `@${prefix}.*:${domain}` },
        { exclusive: true, regex: `@${escaped(settings.botLocalpart)}:${domain}` },
      ],
      aliases: [{ exclusive: true, regex: `#${prefix}.*:${domain}` }],
      rooms: [],
    },
    receive_ephemeral: true,
    'de.sorunome.msc2409.push_ephemeral': true,
    'org.matrix.msc3202': true,
    'io.element.msc4190': true,
  }
}

/**
 * The user that stands for the appservice itself, and for nobody. Not the bot: Synapse refuses /sync to this user, and
 * without it the bot would lose the room keys that were sent while we were down.
 */
export const senderLocalpart = ({ botLocalpart }: Pick<RegistrationSettings, 'botLocalpart'>): string =>
  `${botLocalpart}-sender`

/** RegExp.escape would write letters as \x73 too, which reads badly in a file for people. */
const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

/** What has to stand under `experimental_features` in Synapse's homeserver.yaml. */
export const homeserverSwitches = {
  msc2409_to_device_messages_enabled: true,
  msc3202_transaction_extensions: true,
} as const
