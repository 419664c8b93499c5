import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { freshDatabase } from '../store/testing.ts'
import { encodeVerifier, LogError, noteSigner, openCheckpoint, verifyLog } from './log/index.ts'
import { noteLogKeys } from './log-keys.ts'
import { readLogAt } from './place.ts'
import { commandSigner, logSigners, SignerError } from './signers.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-signers-'))
after(() => rmSync(home, { recursive: true, force: true }))
const origin = 'bridge.example/audit'
const { privateKey, publicKey } = crypto.generateKeyPair()
const audit = testAudit()

/** A program that is given what is to be signed on standard input, as `input`. */
function command(name: string, body: string): string {
  const file = join(home, name)
  writeFileSync(
    file,
    `#!${process.execPath}
const { createPrivateKey, sign } = require('node:crypto')
const input = require('node:fs').readFileSync(0)
const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.from(process.argv[2] ?? '', 'hex')])
${body}
`,
  )
  chmodSync(file, 0o700)
  return file
}
const seed = Buffer.from(privateKey).toString('hex')
const signing = "const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })"
const refused = (code: string) => (error: unknown) => error instanceof SignerError && error.code === code

test('a command signs, in base64 or hexadecimal, and what it prints is verified', async () => {
  const text = utf8('bridge.example/audit\n1\n')
  const by = async (words: string, timeoutMs = 60_000) =>
    commandSigner(crypto, { origin, publicKey, command: words, timeoutMs }).sign(text)
  for (const form of ['base64', 'hex']) {
    const file = command(`signs-${form}`, `${signing}; console.log(sign(null, input, key).toString('${form}'))`)
    assert.ok(crypto.verify(publicKey, text, await by(`${file} ${seed}`)))
  }
  const other = command('signs-else', `${signing}; console.log(sign(null, 'else', key).toString('base64'))`)
  await assert.rejects(by(`${other} ${seed}`), refused('signer-wrong'))
  await assert.rejects(by(command('says', "console.log('no')")), refused('signer-wrong'))
  await assert.rejects(by(command('ends', 'process.exit(3)')), refused('signer-failed'))
  await assert.rejects(by(join(home, 'is-not-there')), refused('signer-failed'))
  await assert.rejects(by(command('hangs', 'setInterval(() => {}, 1000)'), 300), refused('signer-timeout'))
})

test('a log goes on from one key to the next, which the one before vouches for', async () => {
  await using database = await freshDatabase()
  const folder = join(home, 'log')
  const old = crypto.randomBytes(32)
  const file = command('kms', `${signing}; console.log(sign(null, input, key).toString('base64'))`)
  const kms = { signCommand: `${file} ${seed}`, signKey: Buffer.from(publicKey).toString('base64') }
  const oldKey = noteSigner(crypto, origin, old).verifier
  const checkpoint = () => new Uint8Array(readFileSync(join(folder, 'checkpoint')))
  let earlier: Uint8Array | undefined
  const run = async (keys: Parameters<typeof logSigners>[1]) => {
    const [signer, ...moreSigners] = logSigners(crypto, keys)
    await noteLogKeys({ database, audit }, origin, () => [signer!, ...moreSigners])
    await database.transaction((tx) => audit.append(tx, anEvent('alice')))
    const { sequencer, faults } = testSequencer(database, folder, { signer: signer!, moreSigners })
    await sequencer.close()
    assert.equal(faults.length, sequencer.refused ? 1 : 0)
    return sequencer.refused?.code
  }
  assert.equal(await run({ origin, keys: [old] }), undefined)
  earlier = checkpoint()
  assert.equal(await run({ origin, keys: [old], ...kms }), undefined)
  // Whoever has the old key only still verifies, and reads in the log which key is the next one.
  const entries: Record<string, unknown>[] = []
  const onEntry = (entry: Uint8Array) => void entries.push(JSON.parse(Buffer.from(entry).toString()))
  await verifyLog(crypto, { read: readLogAt(folder), verifier: oldKey, earlier, onEntry })
  const newKey = logSigners(crypto, { origin, keys: [], ...kms })[0]!.verifier
  const [, changed] = entries.filter(({ type }) => type === 'log.keys-changed')
  assert.deepEqual(changed!.keys, [oldKey, newKey].map(encodeVerifier).sort())
  assert.equal(await run({ origin, keys: [], ...kms }), undefined)
  earlier = checkpoint()
  assert.equal(openCheckpoint(crypto, earlier, newKey).size, 6)
  assert.throws(
    () => openCheckpoint(crypto, earlier!, oldKey),
    (error) => error instanceof LogError && error.code === 'unsigned',
  )
  // A key that came without overlap: the published log is not signed by it.
  assert.equal(await run({ origin, keys: [crypto.randomBytes(32)] }), 'checkpoint-invalid')
  assert.deepEqual(checkpoint(), earlier)
})
