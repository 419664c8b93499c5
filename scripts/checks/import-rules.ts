import type { Import } from './imports.ts'

/** Who may import whom in src/, and what must never be reachable. The check is imports.ts; this is its table. */
export interface ImportRules {
  /** Room → rooms that it may import. A room that is missing here may not exist. */
  arrows: Record<string, readonly string[]>
  /** Single files that may import one room more than theirs may. */
  fileArrows: Record<string, readonly string[]>
  /** Room → its doors beside index.ts. */
  doors: Record<string, readonly string[]>
  /** Room → other room → the doors that it may use there, where that is not all of them. */
  onlyDoor: Record<string, Record<string, readonly string[]>>
  /** Package → the rooms (or folders, or files) that may import it. A package that is missing here is free. */
  packages: Record<string, readonly string[]>
  /** What must not be reachable from some files, however long the way. */
  closures: readonly {
    name: string
    start: (file: string) => boolean
    /** Whether imports of types count: what is forbidden to know, or only forbidden to load. */
    withTypes: boolean
    forbidsFile?: (file: string) => boolean
    /** Judges an import of a package or of a module of Node; answers with the objection. */
    objectsTo?: (one: Import) => string | undefined
  }[]
  /** Tests may import what they like: they put rooms together that do not know each other. */
  isTest: (file: string) => boolean
}

const isTest = (file: string) => /\.test\.ts$|\.contract\.ts$|(^|\/)contract\.ts$|(^|\/)testing\//.test(file)

/** What turns ciphertext into plaintext or makes a member of a group: the hub's code must not even know its name. */
const memberOnly =
  /privatemessage|decrypt|encrypt|processmessage|joingroup|creategroup|createcommit|createapplication|generatekeypackage|exporter|clientstate/i

export const importRules: ImportRules = {
  arrows: {
    crypto: [],
    protocol: [],
    bus: ['crypto'],
    config: ['crypto'],
    ops: ['crypto', 'config'],
    store: ['crypto'],
    identity: ['crypto'],
    content: ['crypto'],
    mls: ['crypto', 'identity', 'content'],
    client: ['crypto', 'identity', 'content', 'mls', 'protocol'],
    edge: ['crypto', 'identity', 'content', 'client', 'store', 'ops'],
    hub: ['crypto', 'identity', 'content', 'mls', 'store', 'bus', 'ops', 'protocol'],
    messenger: ['crypto', 'identity', 'content', 'hub', 'store', 'bus', 'ops', 'protocol'],
    'main.ts': [
      'crypto',
      'protocol',
      'bus',
      'config',
      'ops',
      'store',
      'identity',
      'content',
      'mls',
      'client',
      'edge',
      'hub',
      'messenger',
    ],
  },
  fileArrows: {
    'src/client/storage/sql.ts': ['store'],
  },
  doors: {
    crypto: ['src/crypto/node.ts', 'src/crypto/web.ts', 'src/crypto/bytes.ts'],
    protocol: ['src/protocol/pipe.ts', 'src/protocol/in-process-pipe.ts'],
    mls: ['src/mls/public.ts', 'src/mls/provider-node.ts', 'src/mls/provider-web.ts'],
    client: ['src/client/storage/sql.ts'],
  },
  onlyDoor: {
    hub: { mls: ['src/mls/public.ts'] },
  },
  packages: {
    'ts-mls': ['mls'],
    '@hpke/core': ['mls'],
    '@noble/ciphers': ['crypto', 'mls'],
    '@noble/curves': ['crypto', 'mls'],
    '@noble/hashes': ['crypto', 'mls'],
    '@electric-sql/pglite': ['store'],
    pg: ['store'],
    '@matrix-org/matrix-sdk-crypto-wasm': ['edge/matrix'],
    'fake-indexeddb': ['edge/matrix'],
    pino: ['ops'],
    'prom-client': ['ops'],
    jose: ['messenger'],
    yaml: ['config', 'ops'],
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
