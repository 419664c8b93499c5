// Who may import whom in src/, and what must never be reachable. The check itself is imports.ts.
import type { ImportRules } from './imports.ts'

const isTest = (file: string) =>
  /^test\/|\/testing\/|(\.test|\.contract|\.fixture|\/contract|\/testing)\.ts$/.test(file)

/** What turns ciphertext into plaintext or makes a member of a group: the hub's code must not even know its name. */
const memberOnly =
  /privatemessage|decrypt|encrypt|processmessage|joingroup|creategroup|createcommit|createapplication|generatekeypackage|exporter|clientstate/i

export const importRules: ImportRules = {
  arrows: {
    crypto: [],
    protocol: ['crypto'],
    cbor: ['crypto'],
    bus: ['crypto'],
    config: ['crypto'],
    ops: ['crypto', 'config'],
    store: ['crypto'],
    identity: ['crypto', 'cbor'],
    content: ['crypto', 'cbor'],
    mls: ['crypto', 'cbor', 'identity', 'content'],
    client: ['crypto', 'cbor', 'identity', 'content', 'mls', 'protocol'],
    edge: ['crypto', 'cbor', 'identity', 'content', 'client', 'store', 'ops'],
    audit: ['crypto', 'store'],
    hub: ['crypto', 'identity', 'content', 'mls', 'store', 'audit', 'bus', 'ops', 'protocol'],
    pages: ['crypto'],
    web: ['crypto', 'identity', 'content', 'mls', 'client', 'protocol', 'audit'],
    messenger: ['crypto', 'identity', 'content', 'hub', 'store', 'bus', 'ops', 'protocol'],
    cli: ['crypto', 'config', 'ops', 'store', 'edge', 'audit', 'pages', 'main.ts', 'backup.ts'],
    'backup.ts': ['config', 'store', 'hub', 'edge'],
    'token-issuers.ts': ['crypto', 'config', 'messenger'],
    'web-server.ts': ['messenger', 'protocol'],
    'main.ts': [
      'web-server.ts',
      'token-issuers.ts',
      'backup.ts',
      'crypto',
      'protocol',
      'bus',
      'config',
      'ops',
      'store',
      'audit',
      'identity',
      'content',
      'mls',
      'client',
      'edge',
      'hub',
      'messenger',
      'pages',
    ],
  },
  fileArrows: {
    'src/client/storage/sql.ts': ['store'],
  },
  doors: {
    audit: ['src/audit/log/index.ts', 'src/audit/reading/index.ts', 'src/audit/testing/index.ts'],
    crypto: ['src/crypto/node.ts', 'src/crypto/web.ts', 'src/crypto/bytes.ts'],
    protocol: ['src/protocol/pipe.ts', 'src/protocol/in-process-pipe.ts', 'src/protocol/compact.ts'],
    mls: [
      'src/mls/public.ts',
      'src/mls/provider-node.ts',
      'src/mls/provider-web.ts',
      'src/mls/conformance.ts',
      'src/mls/counted.ts',
    ],
    store: ['src/store/testing.ts'],
    client: ['src/client/storage/sql.ts'],
    hub: ['src/hub/put-back.ts'],
    edge: ['src/edge/put-back.ts', 'src/edge/matrix/index.ts', 'src/edge/matrix/registration.ts'],
  },
  onlyDoor: {
    hub: { mls: ['src/mls/public.ts'] },
    // The format of the log and how it is read; nothing of the service.
    web: { audit: ['src/audit/log/index.ts', 'src/audit/reading/index.ts'] },
  },
  packages: {
    'ts-mls': ['mls'],
    cborg: ['cbor'],
    '@noble/ciphers': ['crypto', 'mls'],
    '@noble/curves': ['crypto', 'mls'],
    '@noble/hashes': ['crypto', 'mls'],
    '@electric-sql/pglite': ['store'],
    pg: ['store'],
    '@matrix-org/matrix-sdk-crypto-wasm': ['edge/matrix'],
    'fake-indexeddb': ['edge/matrix'],
    pino: ['ops'],
    'prom-client': ['ops'],
    preact: ['web'],
    '@preact/signals': ['web'],
    uqr: ['web'],
    jsqr: ['web'],
    jose: ['messenger'],
    yaml: ['config', 'cli'],
  },
  closures: [
    {
      name: 'the part of the SDK that a browser loads has no Node in it',
      start: (file) => file === 'src/client/index.ts',
      withTypes: false,
      objectsTo: ({ specifier }) =>
        /^(node:|pg$|ws$|pino$|fake-indexeddb|@electric-sql)/.test(specifier) ? `imports ${specifier}` : undefined,
    },
    {
      name: 'pages run in browsers',
      start: (file) => /^src\/web\/[^/]+\/main\.ts$/.test(file),
      withTypes: false,
      forbidsFile: (file) => file.endsWith('/provider-node.ts') || file === 'src/crypto/node.ts',
      objectsTo: ({ specifier }) =>
        /^(node:|pg$|ws$|pino$|fake-indexeddb|@electric-sql)/.test(specifier) ? `imports ${specifier}` : undefined,
    },
    {
      name: 'the hub cannot decrypt',
      start: (file) => file.startsWith('src/hub/') && !isTest(file),
      withTypes: true,
      forbidsFile: (file) => file === 'src/mls/index.ts' || /^src\/(client|edge)\//.test(file),
      objectsTo: ({ specifier, names }) => {
        if (specifier !== 'ts-mls' && !specifier.startsWith('ts-mls/')) return undefined
        if (!names) return 'imports all of ts-mls instead of names'
        const found = names.filter((name) => memberOnly.test(name))
        return found.length > 0 ? `takes ${found.join(', ')} from ts-mls` : undefined
      },
    },
    {
      name: 'the edge is an ordinary client',
      start: (file) => file.startsWith('src/edge/') && !isTest(file),
      withTypes: true,
      forbidsFile: (file) => /^src\/(hub|messenger)\//.test(file),
    },
  ],
  isTest,
}
