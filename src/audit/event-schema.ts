import { z } from 'zod'

/** Version of the schema of entries; a new one has a schema file of its own, and old entries keep theirs. */
export const eventVersion = 1

const about = <T extends z.ZodType>(type: T, description: string) => type.describe(description)
const pseudonym = z.string().regex(/^[A-Za-z0-9_-]{22}$/)
const account = about(pseudonym, 'Pseudonym of an account: random, the same in every entry about it.')
/** Those who cause such an entry know whom it is about: its pseudonym told one person alone who that is. */
const formerly = about(pseudonym.optional(), 'Only in older entries: pseudonym of the account.')
const device = about(pseudonym, 'Pseudonym of a device.')
const room = about(pseudonym, 'Pseudonym of a conversation.')
const auditor = about(z.string().regex(/^[A-Za-z0-9_-]{8}$/), 'Random id of an auditor’s credential.')
const erasure = about(pseudonym, 'Random; the same in the intent and in the outcome of one erasure.')
const mapping = about(pseudonym, 'Random; the same in the request and in what came of it.')
const request = about(pseudonym, 'Random; the same in a request and in its answer.')
const whole = z.int().min(0)
const network = about(
  z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  'A network that the service is connected with, as matrix; `other` for a name that it does not know.',
)
const code = about(z.string().regex(/^[a-z][a-z0-9-]{0,63}$/), 'A code of the messenger protocol (messenger.proto).')
const provider = about(
  z.string().regex(/^[a-z0-9][a-z0-9.-]{0,252}$/),
  'Whose users it is about: `own` for the messenger itself, a network behind an edge as matrix, or the domain of another provider; `other` for a name that the service does not know.',
)
const milliseconds = about(
  whole,
  'Milliseconds; the upper end of a step of the histogram, which is an eighth wider than the one before.',
)
const operation = z.string().regex(/^[a-z][A-Za-z]{0,63}$/)
const accountKind = z.enum(['person', 'business', 'guest', 'edge'])
const deviceKind = z.enum(['primary', 'companion', 'guest', 'edge'])
const firstContact = z.enum(['anyone', 'consent', 'nobody'])
const posture = about(
  z.enum(['native', 'edge']),
  'Who can read a conversation, as far as the hub sees it: its devices alone, or the operator of an edge too.',
)
const settingPath = z.string().regex(/^[A-Za-z]{1,40}(\.[A-Za-z]{1,40}){0,3}$/)
const settingValue = z.union([z.boolean(), z.number()])

const logName = z.string().regex(/^[a-z0-9.-]{1,253}\/audit(\/\d{4})?$/)
const logKeys = z.array(z.string().regex(/^[^\s+]{1,260}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/))

const event = <T extends string, Shape extends z.ZodRawShape>(type: T, shape: Shape, description: string) =>
  z.strictObject({ type: z.literal(type), ...shape }).meta({ title: type, description })

const events = [
  event(
    'account.created',
    { account, accountKind, network: network.optional() },
    'An account was opened and endorsed by the provider. `network`: of an account behind an edge.',
  ),
  event(
    'account.endorsed',
    { account },
    "The provider has renewed its endorsement of the account's key. The key is the same: it never changes.",
  ),
  event(
    'manifest.published',
    { account, number: whole, devices: whole },
    "The account's next list of devices is in force.",
  ),
  event('device.linked', { account, device, deviceKind }, 'A device was added to an account.'),
  event('device.unlinked', { account, device }, 'A device was taken out of its account; delivery to it has ended.'),
  event(
    'first-contact.changed',
    { account, from: firstContact, to: firstContact },
    'An account has changed who may write to it first.',
  ),
  event(
    'network.opted-in',
    { account, network },
    'A user has chosen to be reachable over a network (DMA Article 7(7)).',
  ),
  event(
    'network.opted-out',
    { account, network },
    'A user has ended being reachable over a network (DMA Article 7(7)).',
  ),
  event(
    'room.removal-proposed',
    { room, account, device, reason: z.enum(['unlinked', 'left']) },
    'The hub has proposed to remove a device from a conversation; nothing else passes there until it is gone.',
  ),
  event(
    'room.posture-changed',
    { room, from: posture, to: posture },
    'A commit has changed who can read a conversation.',
  ),
  event(
    'refusals.counted',
    { operation, code, provider: provider.optional(), count: whole, since: z.iso.datetime(), until: z.iso.datetime() },
    'How often one kind of request was refused with one code, by one process. Without `provider`: of those who had not authenticated; refused tokens and registrations are among them.',
  ),
  event(
    'parity.measured',
    {
      provider,
      accepted: about(whole, 'Messages that were taken from its users.'),
      refused: about(
        z.array(z.strictObject({ code, count: whole })),
        'Messages of its users that were refused, by code.',
      ),
      delivered: about(whole, 'Messages that devices of its users have acknowledged; of a network, its edge.'),
      latency: about(
        z
          .strictObject({
            ...{ measured: whole, p50: milliseconds, p90: milliseconds, p99: milliseconds },
            steps: about(
              z.array(z.strictObject({ ms: milliseconds, count: whole })),
              'The histogram itself, so that hours can be added up: `count` took `ms` at most, and longer than the step before.',
            ),
          })
          .optional(),
        'From when the hub took a message to when the device had it, of those whose device was there at that time.',
      ),
      since: z.iso.datetime(),
      until: z.iso.datetime(),
    },
    'How the users of one provider were served in an hour or less, by one process: to be compared with `own` (DMA Articles 8(1) and 13(6)).',
  ),
  event(
    'expiry.carried-out',
    { what: z.enum(['messages', 'welcomes', 'guest-links', 'guest-chats']), count: whole },
    'What was kept longer than it may be was deleted, so many at once: messages and Welcomes that no device came for, links for guests, and what was left of chats with guests.',
  ),
  event(
    'guest.ended',
    { account, reason: z.enum(['idle', 'revoked', 'blocked', 'left']) },
    "A guest's chat has ended: nothing was said for as long as its host allows, or somebody has ended it. What was said in it is deleted.",
  ),
  event(
    'report.made',
    {
      account: about(pseudonym, 'Who is reported.'),
      reporter: about(pseudonym, 'Pseudonym of the account that reports.'),
      room,
      reason: z.enum(['spam', 'abuse', 'impersonation', 'other']),
    },
    'Somebody has reported another account of a conversation that both are or were in. What was said is not part of it.',
  ),
  event(
    'auditor.admitted',
    { auditor, scopes: z.array(z.enum(['log', 'query', 'resolve'])), until: z.iso.datetime() },
    'From now on somebody can use a credential, until then at most: to read the log, to ask it, or to take part when the pseudonym of a person is told.',
  ),
  event('auditor.removed', { auditor }, 'An auditor can no longer read the log: revoked by the operator.'),
  event(
    'configuration.applied',
    { first: z.boolean(), changed: z.array(settingPath), policy: z.record(settingPath, settingValue) },
    'The service started with another configuration than before. `changed` are names of fields; values only of limits and switches.',
  ),
  event(
    'subject.erasure-begun',
    { erasure, account: formerly },
    'Who an account was is to be forgotten, on its request (GDPR Article 17). It does not say which pseudonym: whoever has it erased would learn it.',
  ),
  event(
    'subject.erased',
    { erasure, subjects: whole },
    'The keys that told who an account and its devices were are destroyed: neither the table of pseudonyms nor a backup of it says any more whose they were.',
  ),
  event(
    'interop.requested',
    { request, provider, received: z.iso.datetime(), due: z.iso.datetime() },
    'Another provider has asked to be interoperable. `due`: the end of the three months in which what a reasonable request asks for has to be operational (DMA Article 7(5)).',
  ),
  event(
    'interop.answered',
    {
      ...{ request, provider, outcome: z.enum(['operational', 'refused', 'withdrawn']) },
      reason: about(z.string().regex(/^[a-z][a-z0-9-]{0,63}$/), 'Of a refusal.').optional(),
    },
    'What came of it: what was asked for is operational, it was refused as not reasonable, or it was taken back.',
  ),
  event(
    'mapping.requested',
    { mapping, account: formerly, auditor },
    "Somebody has asked which pseudonym is a person's, by a credential for that. A second one has to agree; only then an entry says whose it is about (`mapping.disclosed` with the same `mapping`).",
  ),
  event(
    'mapping.disclosed',
    { mapping, account, auditor },
    "A second person has agreed, and was told which pseudonym is the person's.",
  ),
  event(
    'log.keys-changed',
    { keys: logKeys },
    'From this start on these keys sign the log, each as name+hash+key. Of a new one this tells under the signature of the one before.',
  ),
  event(
    'log.closed',
    { next: logName, keys: logKeys },
    "The last entry of a year's log: nothing follows it here. `next` is the log that goes on, and `keys` are those that sign it.",
  ),
  event(
    'log.opened',
    {
      previous: logName,
      size: about(whole, 'Entries of the log before, its last one included.'),
      root: about(z.string().regex(/^[A-Za-z0-9+/]{43}=$/), 'The root over all of them, in base64, as it was signed.'),
      before: about(whole, 'Entries of all logs before this one.'),
      keys: logKeys,
    },
    "The first entry of a year's log, except the very first log: which one it goes on from, and what that held.",
  ),
  event(
    'log.taken-up',
    { entries: whole },
    'After the database was restored from a backup, the published log was taken up again; so many entries came back from it.',
  ),
] as const

/** The types of all events. */
export const eventTypes = events.map(({ shape }) => shape.type.value) as [Event['type'], ...Event['type'][]]

const envelope = {
  version: z.literal(eventVersion),
  id: about(pseudonym, 'Random; no two entries have the same.'),
  time: about(z.iso.datetime(), 'When it happened, UTC, to the millisecond, by the clock of the service.'),
}

/** One entry of the log: one of a closed set of events, in an envelope. Every field is named here; others are refused. */
export const entrySchema = z
  .discriminatedUnion(
    'type',
    events.map((each) => each.extend(envelope).meta(each.meta() ?? {})) as unknown as [
      (typeof events)[number],
      ...(typeof events)[number][],
    ],
  )
  .meta({
    title: 'Entry of the compliance log, version 1',
    description:
      'JSON in UTF-8, members sorted by name, no white space. Subjects are random pseudonyms; no content, number, e-mail, handle, address or name is ever part of an entry.',
  })

/** An event as an entry has it, subjects being pseudonyms. */
export type Event = z.infer<(typeof events)[number]>

/** JSON Schema (2020-12) of an entry. */
export function entryJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(entrySchema) as Record<string, unknown>
}
