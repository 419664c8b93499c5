import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../scripts/support/command.ts'
import { connect, webSocketPipe } from '../../src/client/index.ts'
import { type newPerson, reopened } from '../support/messenger-person.ts'
import { openRolling } from '../support/rolling.ts'

/** The last commit on the schema with which the first message crossed: 0008-audit.sql is its newest migration. */
export const firstVersion = '6eea679'

const git = (...words: string[]) => execFileSync('git', ['-C', root, ...words], { maxBuffer: 1 << 28 })

/** Why the first version cannot be had here; undefined: it can. */
export function firstVersionMissing(): string | undefined {
  try {
    git('cat-file', '-e', `${firstVersion}^{commit}`)
    return undefined
  } catch {
    return `commit ${firstVersion} is not in this checkout`
  }
}

/**
 * A rolling restart from the first version itself, with people who talk meanwhile, on devices of that version: today's
 * program migrates its database and takes over from it; the device goes on, first with its own SDK and then with today's
 * on the storage that it had. Fails where a message is lost, comes twice or out of order.
 */
export async function upgradeFromFirst(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'silta-first-version-'))
  try {
    execFileSync('tar', ['-x', '-C', folder], { input: git('archive', firstVersion) })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const people = (await import(pathToFileURL(join(folder, 'test/support/messenger-person.ts')).href)) as {
      newPerson: typeof newPerson
    }
    await using world = await openRolling({
      program: join(folder, 'test/support/service-process.ts'),
      register: people.newPerson,
    })
    await world.whileTalking(() => world.heardAgain())
    print(`${await world.settled()} messages on the first version`)
    await world.whileTalking(async () => {
      const next = await world.start()
      world.sendTo(next)
      await world.present.stop()
      await world.heardAgain()
    })
    print(`${await world.settled()} messages, after today's version has taken over`)
    const before = world.carol
    await before.close()
    const pipe = () => webSocketPipe(`${world.url.replace(/^http/, 'ws')}/messenger/v1`)
    world.carol = await reopened({ ...before, connection: connect(pipe) })
    await world.whileTalking(() => world.heardAgain())
    print(`${await world.settled()} messages, after the device's SDK has become today's`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
