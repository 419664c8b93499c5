import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fromUtf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { Database } from '../../store/index.ts'
import { onBothDialects } from '../../store/testing.ts'
import { openSubjects } from '../open.ts'
import { erasureSteps } from './erasure.ts'
import { openSubjectKeys, SubjectKeysError } from './key-file.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-erasure-'))
after(() => rmSync(home, { recursive: true, force: true }))
let files = 0
const newFile = () => join(home, `keys-${++files}`)
const pseudonymKey = crypto.sha256()
const [alice, bob] = ['mimi://silta.example/u/alice', 'mimi://silta.example/u/bob']
const refused = (code: string) => (error: unknown) => error instanceof SubjectKeysError && error.code === code

const open = (database: Database, subjectKeysFile: string, steps?: (step: string) => void) =>
  openSubjects({ database, crypto, pseudonymKey, subjectKeysFile, networks: ['matrix'], steps })

async function opened(database: Database, subjectKeysFile = newFile(), steps?: (step: string) => void) {
  const { audit, pseudonyms, erasure } = await open(database, subjectKeysFile, steps)
  return {
    subjectKeysFile,
    linked: (account: string, device: string) =>
      database.transaction((tx) => audit.append(tx, { type: 'device.linked', account, device, deviceKind: 'primary' })),
    pseudonymOf: (name: string) => pseudonyms.known(database, { kind: 'account', name }),
    begin: (account: string) => database.transaction((tx) => erasure.begin(tx, account)),
    finish: () => erasure.finish(),
  }
}

async function entries(database: Database) {
  const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
  return rows.map(({ body }) => JSON.parse(fromUtf8(body)) as Record<string, unknown>)
}

/** What a backup has of the tables. */
const backup = (database: Database) =>
  database.query<{ digest: Uint8Array; kind: string; owner: Uint8Array | null; sealed: Uint8Array }>(
    'select * from pseudonym.subject order by digest',
  )

onBothDialects('an erasure', (fresh) => {
  test('makes the pseudonyms of an account and its devices nobody’s, in backups too', async () => {
    await using database = await fresh()
    const log = await opened(database)
    await log.linked(alice, 'phone')
    await log.linked(bob, 'tablet')
    const [ofAlice, ofBob] = [await log.pseudonymOf(alice), await log.pseudonymOf(bob)]
    const old = await backup(database)
    assert.equal(await log.begin(alice), true)
    assert.equal(await log.finish(), 1)
    assert.equal(await log.pseudonymOf(alice), undefined)
    assert.equal(await log.pseudonymOf(bob), ofBob)
    assert.equal((await backup(database)).length, 2)

    const [, , begun, done] = await entries(database)
    assert.equal(begun!.type, 'subject.erasure-begun')
    // Whoever has it done must not learn from it which pseudonym it was.
    for (const entry of [begun, done]) assert.equal(JSON.stringify(entry).includes(ofAlice!), false)
    assert.deepEqual([done!.type, done!.erasure, done!.subjects], ['subject.erased', begun!.erasure, 2])

    // The table comes back from a backup: its rows open with no key that there is.
    for (const { digest, kind, owner, sealed } of old)
      await database.query(
        'insert into pseudonym.subject (digest, kind, owner, sealed) values ($1, $2, $3, $4) on conflict do nothing',
        [digest, kind, owner, sealed],
      )
    const again = await opened(database, log.subjectKeysFile)
    assert.equal(await again.pseudonymOf(alice), undefined)
    assert.equal(await again.pseudonymOf(bob), ofBob)
    const keys = openSubjectKeys(crypto, log.subjectKeysFile)
    const gone = old.filter(({ digest }) => keys.keyOf(digest) === undefined)
    assert.equal(gone.length, 2)
    assert.equal(await again.begin(alice), false)
  })

  test('leaves those who are seen again without a pseudonym that lasts', async () => {
    await using database = await fresh()
    const log = await opened(database)
    await log.linked(alice, 'phone')
    await log.begin(alice)
    await log.finish()
    await log.linked(alice, 'phone')
    await log.linked(alice, 'phone')
    const seen = (await entries(database)).filter(({ type }) => type === 'device.linked').map(({ account }) => account)
    assert.equal(new Set(seen).size, 3)
    // A device that the log has never seen before.
    await log.linked(alice, 'laptop')
    await log.linked(alice, 'laptop')
    const devices = (await entries(database)).filter(({ type }) => type === 'device.linked').map(({ device }) => device)
    assert.equal(new Set(devices).size, 5)
    assert.deepEqual(await backup(database), [])
  })

  test('leaves no file from which keys that are destroyed later could be made again', async () => {
    await using database = await fresh()
    const log = await opened(database)
    const leftOver = `${log.subjectKeysFile}.new-0123456789ab`
    copyFileSync(log.subjectKeysFile, leftOver)
    await opened(database, log.subjectKeysFile)
    assert.equal(existsSync(leftOver), false)
    await log.linked(alice, 'phone')
    copyFileSync(log.subjectKeysFile, leftOver)
    await log.begin(alice)
    await log.finish()
    assert.equal(existsSync(leftOver), false)
  })

  test('that is interrupted is finished by the next start, once', async () => {
    for (const step of erasureSteps) {
      await using database = await fresh()
      let alive = true
      const log = await opened(database, newFile(), (at) => {
        if (at === step && alive) throw new Error('interrupted')
      })
      await log.linked(alice, 'phone')
      await log.begin(alice)
      await assert.rejects(log.finish(), /interrupted/)
      alive = false
      const again = await opened(database, log.subjectKeysFile)
      assert.equal(await again.pseudonymOf(alice), undefined, step)
      const types = (await entries(database)).map(({ type }) => type)
      assert.deepEqual(types, ['device.linked', 'subject.erasure-begun', 'subject.erased'], step)
      assert.equal(openSubjectKeys(crypto, log.subjectKeysFile).destroyed, 2, step)
      assert.deepEqual(await backup(database), [], step)
    }
  })

  test('is not undone by an older file of keys, nor by another one', async () => {
    await using database = await fresh()
    const log = await opened(database)
    await log.linked(alice, 'phone')
    const kept = newFile()
    copyFileSync(log.subjectKeysFile, kept)
    await log.begin(alice)
    await log.finish()
    await assert.rejects(open(database, kept), refused('set-back'))
    await assert.rejects(open(database, newFile()), refused('other-file'))
    const text = readFileSync(log.subjectKeysFile, 'utf8')
    writeFileSync(kept, text.slice(0, text.length / 2))
    await assert.rejects(open(database, kept), refused('malformed'))
    await open(database, log.subjectKeysFile)
  })

  test('counts at once for a process that runs beside', async () => {
    await using database = await fresh()
    const one = await opened(database)
    const other = await opened(database, one.subjectKeysFile)
    await one.linked(alice, 'phone')
    assert.notEqual(await other.pseudonymOf(alice), undefined)
    await other.begin(alice)
    await Promise.all([one.finish(), other.finish()])
    assert.equal(await one.pseudonymOf(alice), undefined)
    await one.linked(alice, 'phone')
    assert.deepEqual(await backup(database), [])
    assert.equal((await entries(database)).filter(({ type }) => type === 'subject.erased').length, 1)
  })
})
