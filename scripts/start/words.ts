import { relative } from 'node:path'
import { root } from '../support/command.ts'
import type { Configuration } from './configuration.ts'
import type { State } from './state.ts'

/** What is printed when everything is up. */
export function describeReady({
  state,
  shown,
  configuration,
  homeserver,
  link,
  app,
  auditKey,
  began,
}: {
  state: State
  /** The demonstration was shown just now, so its accounts are new. */
  shown: boolean
  configuration: Configuration
  /** URL of the local homeserver. */
  homeserver: string | undefined
  /** For a guest of the messenger user. */
  link: string | undefined
  /** Whether there is a messenger client in the browser. */
  app: boolean
  /** The key of the compliance log, where there is a page for auditors. */
  auditKey: string | undefined
  began: number
}): string[] {
  const lines = [
    `Silta is ready at ${state.service} (${((Date.now() - began) / 1000).toFixed(1)} s)`,
    '',
    `  Write as ${state.messengerUser}, in another terminal:   npm run chat`,
    '  As somebody else, in a third one:    npm run chat -- --as carl',
  ]
  if (app) lines.push(`  In a browser:                        ${state.service}/app`)
  if (link) lines.push('', `  As a guest of ${state.messengerUser}, without an account, in a browser:`, `  ${link}`)
  if (homeserver && state.matrixUser) {
    const { name, password, recoveryKey } = state.matrixUser
    const before = 'as before (data/start.json)'
    lines.push(
      '',
      `  Or from Matrix, with any client:   homeserver ${homeserver}`,
      `                                     user       ${name}`,
      `                                     password   ${shown ? password : before}`,
      `                                     recovery   ${shown ? recoveryKey : before}`,
      `  His client of the demonstration has signed out: what ${state.messengerUser} writes waits until he signs in.`,
      `  Or invite @${configuration.config.matrix?.botLocalpart}:${configuration.config.matrix?.domain}, the bridge's bot, and write "help".`,
    )
  } else if (!configuration.ownHomeserver) {
    lines.push(
      '',
      `  Matrix: ${configuration.config.matrix?.homeserverUrl}, as configured in ${configuration.file}.`,
      '  node bin/silta.mjs registration prints what that homeserver needs, node bin/silta.mjs check what it lacks.',
    )
  } else lines.push('', '  Without Matrix: see the message above.')
  if (auditKey)
    lines.push(
      '',
      `  As an auditor of what it does:     ${state.service}/audit`,
      `                                     key         ${auditKey}`,
      `                                     credential  node bin/silta.mjs auditor add --config ${relative(root, configuration.file)}`,
    )
  lines.push('', `  State: ${state.service}/readyz   Log: data/logs/service.log   Ctrl-C ends everything.`)
  return lines
}
