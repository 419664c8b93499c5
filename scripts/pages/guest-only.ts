import type { Plugin } from 'esbuild'

const nothing = 'async () => undefined'
const refuse = "() => { throw new Error('not in this page') }"

/**
 * What a guest's device never does, by the file of src/client in which it is: only people with an account make groups, link
 * devices, invite, and tell their other devices of links. The provider refuses a guest all of it; leaving it out keeps the
 * guest's page small. What is put in its place does what the function does for a guest.
 */
const leftOut: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // Nobody adds a guest to anything: no KeyPackages, no Welcome.
  'account/key-packages.ts': { refillKeyPackages: nothing },
  'rooms/enter.ts': { receiveWelcome: nothing },
  'rooms/create.ts': { claim: `async ${refuse}` },
  'account/person-calls.ts': { personCalls: '() => ({})' },
  // A browser's storage is not put back from backups.
  'account/put-back.ts': { followStorage: nothing },
  'account/companions.ts': { sendContactsIfOwed: nothing, receiveFromPrimary: 'async () => false' },
  'account/others-certificates.ts': { renewOthers: nothing },
  'account/own-devices.ts': {
    setReadReceipts: `async ${refuse}`,
    readMessage: nothing,
    tellOwnDevices: nothing,
    receiveFromOwnDevice: 'async () => false',
  },
  // The page sends nothing under keys of its own.
  'account/upkeep.ts': { forgetSentKeys: nothing },
  'rooms/submissions.ts': { alreadySent: nothing },
  'account/link.ts': { confirmLink: refuse, beginLink: refuse },
  // The page has words of its own, in five languages.
  'explanations.ts': { explanations: '{}' },
  // It made its room, and so has the link's key with it.
  'guests/admit.ts': { pskForEntry: 'async (_context, _tx, record) => record.psk' },
  'guests/invites.ts': {
    inviteCalls: '() => ({})',
    share: nothing,
    enterAwaited: nothing,
    guestWaiting: `async ${refuse}`,
  },
  // It judges no other guest's name, for which Unicode's whole table of confusable characters would be needed.
  'guests/names.ts': { misleads: nothing, guestProfile: `async ${refuse}` },
  'guests/share.ts': {
    storeInvites: nothing,
    newestInvites: nothing,
    invitesIn: '() => undefined',
    shareInvites: nothing,
  },
  'rooms/capabilities.ts': {
    capabilitiesOf: `async ${refuse}`,
    noteCapabilities: nothing,
    tellCapabilitiesIfOwed: nothing,
  },
  'rooms/group-state.ts': { groupIn: '() => ({})', groupEpoch: nothing, noteGroup: nothing, tellGroup: nothing },
  // A chat of two has no members, name or roles to change.
  'rooms/changes.ts': {
    createChanges: `() => ({ ask: async ${refuse}, first() {}, begun() {}, settled() {}, decided: () => false, end() {} })`,
  },
  'rooms/next-change.ts': { nextChange: nothing },
  'rooms/group-calls.ts': { groupCalls: '() => ({})' },
  'rooms/group-commit.ts': { commitChange: nothing },
  'rooms/reach.ts': { directRoom: `async ${refuse}`, makeGroup: `async ${refuse}`, selfRoom: nothing },
}

/** What a guest's device never says, because the provider refuses it (docs/messenger-protocol.md), and is never told. */
export const guestNever: ReadonlySet<string> = new Set([
  ...['publishKeyPackages', 'keyPackageCount', 'claimKeyPackages', 'claimedKeyPackages'],
  ...['lookUp', 'found', 'createRoom', 'putSettings', 'requestConsent', 'answerConsent'],
  ...['openLink', 'completeLink', 'linkCompleted'],
  ...['serveNetwork', 'answerResolve', 'resolveRequest', 'watchDevices', 'devicesWaiting'],
  ...['putInvite', 'listInvites', 'invites', 'revokeInvite', 'extendInvite', 'answerGuest', 'guestWaiting'],
])

const whole = '?whole'

/** For the bundle of the guest's page alone. */
export const guestOnly: Plugin = {
  name: 'guest only',
  setup(build) {
    build.onResolve({ filter: /\?whole$/ }, async ({ path, resolveDir, importer }) => {
      const options = { resolveDir, importer, kind: 'import-statement', pluginData: whole } as const
      return build.resolve(path.slice(0, -whole.length), options)
    })
    build.onResolve({ filter: /\.ts$/ }, async ({ path, resolveDir, importer, pluginData }) => {
      if (pluginData === whole || !/\/src\/client\//.test(`${resolveDir}/`)) return undefined
      const options = { resolveDir, importer, kind: 'import-statement', pluginData: whole } as const
      const { path: file } = await build.resolve(path, options)
      const name = /\/src\/client\/(.+)$/.exec(file)?.[1]
      return name && leftOut[name] ? { path: file, namespace: 'guest-only' } : undefined
    })
    build.onLoad({ filter: /.*/, namespace: 'guest-only' }, ({ path }) => {
      const name = /\/src\/client\/(.+)$/.exec(path)![1]!
      const instead = Object.entries(leftOut[name]!).map(([each, does]) => `export const ${each} = ${does}`)
      // What a module exports itself goes before what it passes on.
      const contents = [`export * from ${JSON.stringify(path + whole)}`, ...instead].join('\n')
      return { contents, loader: 'js', resolveDir: path.slice(0, path.lastIndexOf('/')) }
    })
  },
}
