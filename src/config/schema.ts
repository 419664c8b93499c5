import { z } from 'zod'
import { flag, httpUrl, oneOf, path, text, whole } from './fields.ts'

const host = '(?!-)[A-Za-z0-9-]{1,63}(?<!-)'
const domain = new RegExp(`^(?=.{1,253}$)${host}(\\.${host})*(:\\d{1,5})?$`)
const localpart = /^[a-z0-9._=/+-]{1,64}$/
const secretText = /^[\x21-\x7e]{16,512}$/

/** A part of the configuration that may be left out as a whole: its fields then have their defaults. */
const part = <Shape extends z.ZodRawShape>(shape: Shape, about: string) =>
  z
    .strictObject(shape, { error: 'must be a list of fields' })
    .prefault({} as never)
    .meta({ description: about })

const provider = z
  .strictObject({
    domain: text('a domain name', domain, {
      about:
        'The domain in the addresses of this provider (mimi://domain/u/…). It is part of every certificate, so it cannot be changed later.',
      example: 'chat.example.org',
    }),
    name: text('1 to 40 characters in one line', /^[^\p{C}]{1,40}$/u, {
      about: 'What people call this messenger, as Matrix users read it. The domain when not given.',
      example: 'Example Chat',
    }).optional(),
    keyFile: path({
      about:
        "File with the provider's Ed25519 key (32 bytes in base64url): it endorses accounts. Generated in the data directory when not given; in production it must be given.",
      example: '/run/secrets/provider.key',
    }).optional(),
  })
  .meta({ description: 'Who this provider is.' })

const listen = part(
  {
    host: text('a host name or an IP address', /^[A-Za-z0-9.:_-]{1,253}$/, {
      about: 'Address to listen on. Only this machine by default: a proxy with TLS belongs in front.',
      example: '0.0.0.0',
    }).default('127.0.0.1'),
    port: whole(0, 65_535, 8480, { about: 'Port of the HTTP server. 0 takes a free one.' }),
    proxy: flag({
      about:
        'Whether a proxy stands in front that sets X-Forwarded-For. Only then is that header believed when connections are counted by address.',
      example: true,
    }),
  },
  'Where the HTTP server listens: WebSocket at /messenger/v1, the Matrix appservice, /audit, /metrics, /healthz, /readyz.',
)

const database = part(
  {
    url: text('a URL like postgres://user:password@host/name', /^postgres(ql)?:\/\/.+/, {
      about: 'PostgreSQL. Without it an embedded database in the data directory is used. DATABASE_URL works too.',
      example: 'postgres://silta@localhost/silta',
    }).optional(),
    urlFile: path({ about: 'File with that URL, to keep its password out of this one.' }).optional(),
    connections: whole(2, 500, 10, {
      about:
        'Connections to PostgreSQL. 10: PostgreSQL allows 100 in all by default, and several processes share them.',
    }),
  },
  'Where state is kept.',
)

const sealing = part(
  {
    keyFile: path({
      about:
        'File with the keys that seal secrets in the database: one a line, 32 bytes in base64url. The first seals, all open: to rotate, put a new one first. Generated in the data directory when not given; in production it must be given, and belongs elsewhere than the database and its backups.',
      example: '/run/secrets/sealing.key',
    }).optional(),
  },
  'What protects secrets at rest.',
)

const audit = part(
  {
    keyFile: path({
      about:
        'File with the keys that sign the compliance log, one a line (Ed25519, 32 bytes in base64url). All sign: to rotate, add a new line, give auditors its public half, and take the old line out later. Generated in the data directory when not given; in production it must be given.',
      example: '/run/secrets/audit.key',
    }).optional(),
    signCommand: text('a command and its arguments, without a shell', /^\S[^\0\n]{0,1000}$/, {
      about:
        'Command that signs in the place of that file, as for a key in a key management service: it is given the bytes on standard input, prints the Ed25519 signature (64 bytes in base64 or hexadecimal), and has five seconds. audit.signKey says whose signature it has to be. Keys in audit.keyFile sign too where it is given.',
      example: '/usr/local/bin/sign-with-kms --key silta-audit',
    }).optional(),
    signKey: text('32 bytes in base64', /^[A-Za-z0-9+/]{43}=$/, {
      about: "Public key (Ed25519) of the command's signatures.",
    }).optional(),
    policyFile: path({
      about:
        'File that names the witnesses which cosign the log, with their URLs: a C2SP tlog-policy, the same that auditors verify with (silta audit verify --policy).',
      example: '/etc/silta/audit-policy',
    }).optional(),
    s3Endpoint: httpUrl({
      about:
        'An S3-compatible store in which the log is published instead of a folder in the data directory. It has to know conditional writes (If-None-Match, If-Match).',
      example: 'https://s3.eu-central-1.amazonaws.com',
    }).optional(),
    s3Bucket: text('the name of a bucket', /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
      about:
        'Bucket of that store, for this log alone. The service needs to read and to write objects, not to delete them.',
      example: 'example-chat-audit',
    }).optional(),
    s3Region: text('the name of a region', /^[a-z0-9-]{1,40}$/, {
      about: "The store's region, as its signatures want it.",
      example: 'eu-central-1',
    }).optional(),
    s3KeyFile: path({
      about: 'File with the access key id and the secret access key of that store, a line each.',
      example: '/run/secrets/audit-s3.key',
    }).optional(),
    subjectKeysFile: path({
      about:
        'File with the keys that tell whose a pseudonym in the compliance log is. An erasure destroys keys in it, so it must be writable, lie apart from the database, and be in no backup that is kept longer than erased data may last. Made when it is not there; in the data directory when not given.',
      example: '/var/lib/silta-keys/subject-keys',
    }).optional(),
  },
  'The compliance log, which auditors read at /audit.',
)

const tokens = part(
  {
    issuer: text('the exact text of the iss claim', /^[^#\s]{1,512}$/, {
      about: "Who issues access tokens (JWT): the messenger's own account system. Compared with the iss claim.",
      example: 'https://accounts.example.org',
    }).optional(),
    audience: text('the exact text of the aud claim', /^\S{1,512}$/, {
      about: 'What the aud claim of a token must name.',
      example: 'silta',
    }).default('silta'),
    jwksUrl: httpUrl({
      about: "The issuer's public keys (JWKS, RFC 7517). Fetched when first needed and when an unknown key appears.",
      example: 'https://accounts.example.org/.well-known/jwks.json',
    }).optional(),
    trial: flag({
      about:
        'A built-in issuer that gives a token to anybody who asks, for trying and testing. On by default, off in production, where it is refused.',
      example: false,
    }),
  },
  "Whose word is taken for who an account belongs to. The messenger's backend vouches for people with signed tokens.",
)

const matrix = z
  .strictObject(
    {
      homeserverUrl: httpUrl({
        about: "The homeserver's Client-Server API, as this process reaches it, without /_matrix.",
        example: 'http://127.0.0.1:8008',
      }),
      domain: text('a server name', domain, {
        about: "The homeserver's server_name: what stands behind the colon in its Matrix ids.",
        example: 'example.org',
      }),
      appserviceUrl: httpUrl({
        about: 'Where the homeserver reaches this process. By default the listening address.',
        example: 'http://silta:8480',
      }).optional(),
      registrationId: text('letters, digits, dots, hyphens or underscores', /^[A-Za-z0-9._-]{1,64}$/, {
        about: 'The id of the appservice registration; the homeserver knows this bridge by it.',
      }).default('silta'),
      botLocalpart: text('lower-case letters, digits or ._=/+-', localpart, {
        about: "The bridge bot's name in front of the colon.",
      }).default('silta'),
      ghostPrefix: text('lower-case letters, digits or ._=/+-', localpart, {
        about: 'How Matrix ids of messenger accounts begin. The homeserver reserves them for this bridge.',
      }).default('silta_'),
      asToken: text('16 or more visible characters', secretText, {
        about: 'Secret by which this process proves itself to the homeserver. Generated when not given.',
      }).optional(),
      asTokenFile: path({ about: 'File with that secret.' }).optional(),
      hsToken: text('16 or more visible characters', secretText, {
        about: 'Secret by which the homeserver proves itself to this process. Generated when not given.',
      }).optional(),
      hsTokenFile: path({ about: 'File with that secret.' }).optional(),
    },
    { error: 'must be a list of fields' },
  )
  .optional()
  .meta({ description: 'The Matrix homeserver whose users can be talked to. Leave it out to run without Matrix.' })

const limits = part(
  {
    connections: whole(1, 1_000_000, 10_000, {
      about: 'WebSockets at a time. An idle one takes about 30 KB; 10,000 take 300 MB.',
    }),
    connectionsPerAddress: whole(1, 1_000_000, 200, {
      about: 'WebSockets at a time from one IP address: enough for an office behind one address, too few to take all.',
    }),
    strangersPerNetwork: whole(10, 1_000_000, 600, {
      about:
        'Registrations, rendezvous of new devices and looks at guest links in a minute from one network (IPv6 /64, IPv4 /24): enough for a hall full of people.',
    }),
    roomMembers: whole(2, 10_000, 2_000, {
      about: 'Devices in one room. With 1,000 a commit brings a tree of several hundred kilobytes.',
    }),
    requestMessages: whole(1, 100, 5, {
      about: 'Messages that a stranger may send before being accepted: enough to say who one is.',
    }),
    strangersPerHour: whole(1, 10_000, 30, {
      about: 'Strangers that one account may approach in an hour: what spam and the search for accounts live on.',
    }),
  },
  'How much of something is taken.',
)

const guests = part(
  {
    links: flag({
      about: 'Whether people may make links for guests, who chat in a browser without an account. On by default.',
      example: false,
    }),
    linkDays: whole(1, 365, 10, {
      about: 'How long a link lets somebody in when its maker does not say: as long as an invitation is usually meant.',
    }),
    idleDays: whole(1, 365, 10, {
      about:
        "How long nothing may be said in a guest's chat before it ends and is deleted, when its host does not say.",
    }),
    longestDays: whole(1, 365, 90, {
      about: 'The longest that either may be when they do say: what nobody uses is not to stay.',
    }),
  },
  'Guests: chats in the browser by a link.',
)

const retention = part(
  {
    mailboxDays: whole(1, 365, 30, {
      about:
        "How long messages wait for a device that does not come. 30 days, as a companion device's idle limit: a device that stays away longer joins its conversations anew.",
    }),
  },
  'How long something is kept.',
)

const log = part(
  {
    level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info', {
      about: 'Least severity that is written to standard output. What may be written is an allow-list at every level.',
    }),
  },
  'What is logged.',
)

const shutdown = part(
  {
    graceSeconds: whole(1, 600, 20, {
      about:
        'How long work under way may take after SIGTERM. 20: container platforms kill after 30 by default, and closing takes a moment.',
    }),
  },
  'How it stops.',
)

/** The whole configuration file. JSON Schema of it: schemas/config.schema.json. */
export const configSchema = z
  .strictObject(
    {
      production: flag({
        about: 'Refuses what is only for trying: the trial issuer, generated keys, tokens over plain HTTP.',
        example: true,
      }),
      provider,
      dataDirectory: path({
        about:
          'Folder of the embedded database and of generated secrets. Created when missing, readable by its owner only.',
        example: '/var/lib/silta',
      }).default('data'),
      listen,
      database,
      sealing,
      audit,
      tokens,
      matrix,
      limits,
      guests,
      retention,
      log,
      shutdown,
    },
    { error: 'must be a list of fields' },
  )
  .meta({ title: 'Silta configuration', description: 'Configuration of Silta (YAML or JSON).' })

export type ConfigFile = z.output<typeof configSchema>

/** JSON Schema (2020-12) of what may be written in the file. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, { io: 'input' }) as Record<string, unknown>
}
