import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { readEndorsement } from '../../identity/index.ts'
import { onBothDialects } from '../../store/testing.ts'
import { makeDevice } from '../testing/device.ts'
import { refusal } from '../testing/values.ts'
import { openWorld } from '../testing/world.ts'

const day = 24 * 3600

onBothDialects('accounts', (open, dialect) => {
  test('a token’s subject has one account, under one key, and the subject is stored nowhere', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const token = { ...world.token(), subject: 'https://issuer.example#a-very-private-name' }
    const keys = crypto.generateKeyPair()
    const [one, two] = await Promise.all([
      world.hub.createAccount(token, keys.publicKey),
      world.hub.createAccount(token, keys.publicKey),
    ])
    assert.deepEqual(one, two)
    const endorsement = readEndorsement(crypto, one.endorsement, [world.keyPair.publicKey])
    assert.equal(endorsement.kind, 'person')
    assert.equal(endorsement.account, one.address)
    await assert.rejects(world.hub.createAccount(token, crypto.generateKeyPair().publicKey), refusal('account-exists'))
    await assert.rejects(
      world.hub.createAccount({ ...token, kind: 'business' }, keys.publicKey),
      refusal('not-allowed'),
    )
    await assert.rejects(world.hub.createAccount(token, new Uint8Array(5)), refusal('malformed'))
    const rows = await database.query<{ subject: Uint8Array; account: string }>('select * from hub.subject')
    assert.equal(rows.length, 1)
    assert.equal(Buffer.from(rows[0]!.subject).includes('private'), false)
  })

  test('an edge’s token opens an account for each key, with operator and network in the endorsement', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const token = world.token('edge')
    const accounts = []
    for (let i = 0; i < 3; i++) accounts.push(await world.hub.createAccount(token, crypto.generateKeyPair().publicKey))
    assert.equal(new Set(accounts.map(({ address }) => address)).size, 3)
    const endorsement = readEndorsement(crypto, accounts[0]!.endorsement, [world.keyPair.publicKey])
    assert.deepEqual([endorsement.operator, endorsement.network], ['bridge.example', 'matrix'])
    const nameless = { subject: 's', kind: 'edge' } as const
    await assert.rejects(world.hub.createAccount(nameless, crypto.generateKeyPair().publicKey), refusal('bad-token'))
  })

  test('an endorsement is renewed when it is past its half', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const token = world.token()
    const keys = crypto.generateKeyPair()
    const { endorsement } = await world.hub.createAccount(token, keys.publicKey)
    world.clock.now += 30 * day * 1000
    assert.deepEqual((await world.hub.createAccount(token, keys.publicKey)).endorsement, endorsement)
    world.clock.now += 30 * day * 1000
    const renewed = (await world.hub.createAccount(token, keys.publicKey)).endorsement
    assert.ok(
      readEndorsement(crypto, renewed, [world.keyPair.publicKey]).notAfter >
        Math.floor(world.clock.now / 1000) + 80 * day,
    )
  })

  test('a manifest follows the one before it, and may come twice', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const account = await world.account()
    const { hub } = world
    const put = (manifest: Uint8Array, certificates: Uint8Array[] = []) => hub.putManifest({ manifest, certificates })
    await put(account.manifest)
    const first = account.manifest
    await account.put(account.devices)
    await assert.rejects(put(first), refusal('old-manifest'))
    await assert.rejects(
      put(account.sign(account.devices, { previous: crypto.randomBytes(32) })),
      refusal('old-manifest'),
    )
    await assert.rejects(put(crypto.randomBytes(50)), refusal('malformed'))
    await assert.rejects(put(new Uint8Array(20_000)), refusal('too-large'))
    const stranger = await world.account()
    const forged = stranger.sign(account.devices, { account: account.address, number: 3 })
    await assert.rejects(put(forged), refusal('bad-certificate'))
    const expired = account.sign(account.devices, {
      notBefore: account.seconds() - 14 * day,
      notAfter: account.seconds() - 1,
    })
    await assert.rejects(put(expired), refusal('bad-certificate'))
    const early = account.sign(account.devices, {
      notBefore: account.seconds() + 600,
      notAfter: account.seconds() + 14 * day,
    })
    await assert.rejects(put(early), refusal('wrong-clock'))
    const { asker } = account.devices[0]!
    assert.deepEqual((await hub.getManifest(asker, account.address, 0)).manifest, account.manifest)
    assert.deepEqual((await hub.getManifest(asker, account.address, 1)).manifest, first)
    await assert.rejects(hub.getManifest(asker, account.address, 9), refusal('not-found'))
    await assert.rejects(hub.getManifest(stranger.devices[0]!.asker, account.address, 0), refusal('not-found'))
  })

  // The embedded database has one connection: there is nobody to wait for.
  if (dialect === 'postgres')
    test('a manifest that the account has not signed waits for nobody, and locks nothing', async () => {
      await using database = await open()
      await using world = openWorld(database)
      const [account, stranger] = [await world.account(), await world.account()]
      const forged = stranger.sign(account.devices, { account: account.address, number: 3 })
      const admitted: string[] = []
      const put = (manifest: Uint8Array) =>
        world.hub.putManifest({ manifest, certificates: [] }, (address) => void admitted.push(address))
      const [locked, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const holding = database.transaction(async (tx) => {
        await tx.query('select from hub.account where address = $1 for update', [account.address])
        locked.resolve()
        await done.promise
      })
      await locked.promise
      await assert.rejects(put(forged), refusal('bad-certificate'))
      done.resolve()
      await holding
      await put(account.manifest)
      assert.deepEqual(admitted, [])
      await put(account.sign(account.devices))
      assert.deepEqual(admitted, [account.address])
    })

  test('a device enters a manifest by a certificate of its account, and belongs to one account', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [account, other] = [await world.account(), await world.account()]
    const put = (manifest: Uint8Array, certificates: Uint8Array[]) => world.hub.putManifest({ manifest, certificates })
    const device = makeDevice(account, 'companion')
    const listed = account.sign([...account.devices, device])
    await assert.rejects(put(listed, []), refusal('bad-certificate'))
    await assert.rejects(put(listed, [other.certify(device.keys.publicKey, 'companion')]), refusal('bad-certificate'))
    await assert.rejects(put(listed, [account.certify(device.keys.publicKey, 'primary')]), refusal('bad-certificate'))
    const over = { notAfter: account.seconds() - 1 }
    await assert.rejects(
      put(listed, [account.certify(device.keys.publicKey, 'companion', over)]),
      refusal('bad-certificate'),
    )
    const posing = makeDevice(account, 'edge')
    await assert.rejects(put(account.sign([posing]), [posing.certificate]), refusal('bad-certificate'))
    const six = Array.from({ length: 6 }, () => makeDevice(account, 'companion'))
    const certificates = six.map(({ certificate }) => certificate)
    await assert.rejects(put(account.sign(six), certificates), refusal('not-allowed'))
    await put(listed, [device.certificate])
    assert.equal((await world.hub.findDevice(device.deviceId))?.account, account.address)
    // Another account cannot list it too, and so take its place in delivery.
    const stolen = other.sign([...other.devices, device])
    await assert.rejects(put(stolen, [other.certify(device.keys.publicKey, 'companion')]), refusal('not-allowed'))
  })
})
