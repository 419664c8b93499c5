/** What `silta help` prints, by topic. */
const general = `silta connects a messenger with Matrix, encrypted from end to end.

  silta serve           runs the service
  silta registration    prints the appservice registration for the homeserver
  silta check           says in plain words what is wrong around it
  silta status          says how the running service is
  silta backup          copies the embedded database while the service runs
  silta restore         goes on from a backup, without using a key twice
  silta audit verify    verifies a compliance log, here or elsewhere
  silta audit entries   prints what was looked for in it; export and proof: to hand on
  silta audit key       prints the public key of the compliance log
  silta audit erase     forgets for good whose pseudonym in it is an account's
  silta audit interop   notes when another provider has asked, and what came of it
  silta audit map       tells whose it is, when two agree
  silta auditor add     gives somebody a credential to read the compliance log
  silta pages verify    verifies the pages that a provider gives to browsers
  silta help [COMMAND]  explains a command, or the configuration: silta help config
  silta version         prints the version

Every command but pages verify and those of audit that read a log takes
  --config FILE         the configuration (else SILTA_CONFIG, else silta.yaml)

Examples of configurations are in config/, their schema in schemas/config.schema.json.
`

const serve = `silta serve [--config FILE]

Runs the service until SIGTERM or SIGINT, then finishes what is under way (shutdown.graceSeconds) and
ends. Logs JSON lines to standard output.

  ws://HOST:PORT/messenger/v1   devices of the messenger
  /_matrix/app/v1/              the homeserver
  /healthz                      200 while the process runs
  /readyz                       200 while it can serve; the state of each dependency as JSON
  /metrics                      Prometheus
  /audit/                       the compliance log (C2SP tlog-tiles), for auditors
  /g/                           the page for guests; its signed manifest is /g/manifest.json

It ends with 0 after an orderly end, 1 after a fault, 2 when the configuration cannot be used.
`

const registration = `silta registration [--output FILE] [--config FILE]

Prints the appservice registration (YAML). The homeserver needs it:

  1. silta registration --output silta-registration.yaml
  2. Copy it to where the homeserver can read it. It holds secrets: nobody else should.
  3. In Synapse's homeserver.yaml:

       app_service_config_files:
         - /path/to/silta-registration.yaml
       experimental_features:
         msc2409_to_device_messages_enabled: true
         msc3202_transaction_extensions: true

  4. Restart the homeserver, and see whether all is well: silta check

Tokens that the configuration does not give are generated once and kept in the data directory.
`

const check = `silta check [--config FILE]

Looks at what is around Silta and says what is wrong and what to do: the configuration, the folder and
the database where state is kept (its version, its schema, what this user may do there), the token
issuer, whether the homeserver can be reached, its clock, its server name, whether it accepts the
token, whether it reaches Silta, and whether it delivers what encryption needs.

The last can be seen only while Silta does not run: the check then listens in its place for some
seconds and sends itself a message. It takes no event that waits for Silta.

It makes and changes nothing, neither keys nor tables.

It ends with 0 when nothing is wrong, 1 when something is, 2 when the configuration cannot be used.
`

const status = `silta status [--json] [--config FILE]

Asks the running service, over its socket in the data directory, how it is: what it needs, what waits and
since when, what crossed, what was refused or could not be decrypted, and faults. --json prints the same
for programs: the answer of /readyz, and every metric.

It ends with 0 when the service is ready, 1 when it is not, or not wholly, or does not run.
`

const backup = `silta backup FOLDER [--config FILE]

Copies the embedded database as of one moment into a new folder, of the running service or of one that is
stopped. Keys are not in it. With PostgreSQL use its own tools.

silta restore [FOLDER] [--config FILE]

Goes on from a backup: puts it in the place of the embedded database (the one that was there is kept
beside it), or, without a folder, takes the database as it is: one that you have put back yourself. The
service must not run.

Others have gone on since the backup: devices know messages and keys that the database does not. So no
number and no key of the time in between is used a second time: the edge's devices enter their rooms
anew, ghosts get new devices under the identity that they had, one-time keys are made anew, and people
are shown where messages may be missing. Run it after every restore, before the service starts.

They end with 0 when it is done, 1 when it is not, 2 when the arguments cannot be used.
`

const auditor = `silta auditor add [--days 90] [--scope log,query] [--config FILE]
silta auditor list
silta auditor revoke ID

Who may read the compliance log at /audit. add prints a credential, once; the auditor sends it as
Authorization: Bearer …. The running service follows at once, where it has the same data directory.
--scope: log, to copy and verify all of it; query, to ask it (/audit/v1): both unless told. resolve, for
people of the operator's own, to take part when a person's pseudonym is told (silta audit map).
`

const audit = `silta audit key [--config FILE]

Prints the log's public key, name+hash+key: what an auditor is given, and keeps.

silta audit erase ADDRESS [--config FILE]

Destroys the keys that tell which pseudonyms in the log are those of an account and its devices. It
cannot be undone. The log stays as it is, and has an entry of it. The service has to run, with the same
data directory.

silta audit interop received DOMAIN [--on 2026-11-22] [--config FILE]
silta audit interop answered ID operational|refused|withdrawn [--reason WORD] [--config FILE]
silta audit interop list [--config FILE]

The clock of requests by other providers to be interoperable: three months from receipt until it has to
be operational. Receipt and answer are entries of the log; the auditors' page shows the time it took.

silta audit map request ADDRESS --token-file FILE [--config FILE]
silta audit map approve ADDRESS --token-file FILE [--config FILE]

Tells which pseudonym in the log is an account's, when two people agree: one asks, another one with a
credential of their own agrees within a day and is told. Both need scope resolve (silta auditor add), and
both steps are entries of the log. After an erasure nobody is told any more.

silta audit verify --log URL|FOLDER --key KEY|FILE [--earlier FILE] [--token-file FILE]

Verifies a whole compliance log, without trusting whoever serves it: the signature of the checkpoint,
the root recomputed from the entries alone, and every tile. It needs no configuration.

  --log         the log's prefix (https://chat.example.org/audit), or a folder with its files
  --key         the log's public key, name+hash+key, as the operator has published it
  --policy      instead of --key: a file with keys, witnesses and how many of them are asked for
                (C2SP tlog-policy)
  --earlier     a checkpoint kept from last time: the log has to continue it
  --token-file  a file with the auditor's credential

silta audit entries --log … --key … [FILTER] [--output FILE]
silta audit export --format ocsf|csv|ndjson --log … --key … [FILTER] [--output FILE]

Prints entries, a line each, with the log's name and the index in it. Each is proven against the signed
checkpoint before it is printed. ocsf is API Activity (class 6003) of OCSF 1.8.0, csv as in RFC 4180.

  --first, --last N   indices, both included; without them the whole log is read
  --from, --to TIME   not before, and before: 2026-11-22 or 2026-11-22T10:00:00Z
  --type TYPE         as network.opted-out
  --provider NAME     a network or another provider, as matrix
  --pseudonym P       of an account, a device or a conversation
  --outcome WORD      as done or refused

silta audit proof --index N --log … --key … [--output FILE]
silta audit verify --proof FILE --key KEY|FILE

Writes the proof of one entry (C2SP tlog-proof), the entry with it; and verifies one, with nothing but
the key.

All of them end with 0 when the log holds, 1 when it does not (and name the first bad entry), 2 when the
arguments cannot be used, or name an entry that the log does not have, and 3 when the log could not be
read: then there is no verdict.
`

const pages = `silta pages key [--config FILE]

Prints the provider's public key (Ed25519, base64url): it signs the manifest of the pages.

silta pages verify URL --key KEY [--build FOLDER]

Fetches the pages for browsers (https://chat.example.org) as a stranger would and compares each file and
its Content-Security-Policy with the signed manifest. It needs no configuration.

  --key      the provider's public key, as it has published it or as somebody was served it before
  --build    a folder of pages built from the sources (npm run build: dist/static): the manifest has
             to be that of this build

It ends with 0 when all of it holds, 1 when something does not, 2 when the arguments cannot be used.
What it says is true of this one visit: a web server can give other people other pages.
`

const config = `The configuration is a YAML file. Only provider.domain must be given:

  provider:
    domain: chat.example.org

Every field can be given as an environment variable, which goes over the file:
listen.port is SILTA_LISTEN_PORT. DATABASE_URL is database.url. For each secret there is a field
…File that names a file with it.

Fields, with their variables:

`

/** Explains a topic; undefined when there is none of that name. */
export function help(topic: string | undefined, fields: () => string): string | undefined {
  const topics: Record<string, () => string> = {
    serve: () => serve,
    registration: () => registration,
    check: () => check,
    status: () => status,
    backup: () => backup,
    restore: () => backup,
    audit: () => audit,
    auditor: () => auditor,
    pages: () => pages,
    config: () => config + fields(),
  }
  return topic === undefined || topic === 'help'
    ? general
    : Object.hasOwn(topics, topic)
      ? topics[topic]?.()
      : undefined
}
