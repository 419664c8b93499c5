// A rolling restart: the next version starts on the same PostgreSQL and migrates it while this one works; then people's
// connections and the homeserver's are sent to the next one, and this one is ended.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from '../scripts/support/command.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { mlsLog } from './support/mls-uses.ts'
import { findPostgres } from './support/postgres.ts'
import { openRolling, type Rolling } from './support/rolling.ts'

const skip = findPostgres() === undefined && 'PostgreSQL is not installed'

describe('a rolling restart under load', { skip }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-rolling-'))
  const log = mlsLog()
  let world: Rolling

  /** This program with one more migration, as a version to come. @returns its file to run */
  const version = (migration: string): string => {
    const folder = mkdtempSync(join(home, 'version-'))
    for (const part of ['src', 'scripts/support', 'test/support', 'package.json'])
      cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    mkdirSync(join(folder, '.cache'), { recursive: true })
    writeFileSync(join(folder, 'src/store/migrations/9999-next.sql'), migration)
    return join(folder, 'test/support/service-process.ts')
  }
  const schema = async () => {
    const database = await openPostgres(world.postgres.url, {})
    const rows = await database.query<{ name: string }>('select name from schema_migration order by name')
    await database.close()
    return rows.map(({ name }) => name)
  }

  before(async () => {
    world = await openRolling({ onFrame: log.onFrame })
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  })

  it('a next version whose migration fails does not start; this one goes on, on its own schema', async () => {
    const before = await schema()
    const bad = version('alter table hub.log add column half int8; create table device_state (n int8);')
    await world.whileTalking(() => assert.rejects(world.start(bad), /did not start/))
    await world.settled()
    assert.deepEqual(await schema(), before)
  })

  it('the next version migrates while this one works, and takes over: all arrives once and in order', async () => {
    const good = version(`alter table hub.log add column next int8;
      create index next_log on hub.log (next) where next is not null;
      alter table device_state add column next int8;
      alter table portal_outbox add column next int8;`)
    await world.whileTalking(async () => {
      const next = await world.start(good)
      await sleep(500)
      world.sendTo(next)
      await world.present.stop()
      await world.heardAgain()
    })
    const said = await world.settled()
    const { carol, room } = world
    await log.noteEpochs(carol.storage, room)
    const uses = await log.uses(room)
    assert.ok(uses.length >= said)
    assert.equal(new Set(uses).size, uses.length, 'an MLS key was used twice')
    assert.deepEqual(
      carol.faults.filter((fault) => !fault.startsWith('fault')),
      [],
    )
    await assert.rejects(world.present.start(), /newer than this program/)
  })
})
