import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../store/index.ts'
import { onBothDialects } from '../store/testing.ts'
import { held } from './portals/portal-table.ts'
import { queues } from './queues.ts'

const now = 1_800_000_000_000
const secondsAgo = (seconds: number) => now - seconds * 1000
const day = 24 * 3600

let people = 0

async function portalOf(database: Database, more: { heldUntil?: number; wanted?: boolean; group?: boolean } = {}) {
  const name = `person ${++people}`
  await database.query('insert into matrix_user (lookup, mxid, account, created_at) values ($1, $1, $2, 0)', [
    new TextEncoder().encode(name),
    name,
  ])
  const [row] = await database.query<{ id: number }>(
    `insert into portal (account, peer, kind, room, matrix_room, state, user_in, changed_at, held_until)
     values ($1, $2, $3, $4, $5, $6, true, 0, $7) returning id`,
    [
      more.group ? null : name,
      more.group ? null : 'peer',
      more.group ? 'group' : 'direct',
      more.wanted ? null : `room of ${name}`,
      `!of ${name}`,
      more.wanted ? 'wanted' : 'open',
      more.heldUntil ?? 0,
    ],
  )
  return { id: row!.id, matrixRoom: `!of ${name}` }
}

const toSend = (database: Database, portal: number, at: number, kind = 'message') =>
  database.query("insert into portal_outbox (portal, kind, body, created_at) values ($1, $2, '', $3)", [
    portal,
    kind,
    at,
  ])
const came = (database: Database, room: string, at: number) =>
  database.query("insert into appservice_event (room, body, received_at) values ($1, '', $2)", [room, at])

onBothDialects('what waits', (open) => {
  test('for somebody to come in or to consent is told apart, and does not age', async () => {
    await using database = await open()
    const { depth, oldest } = queues(database, () => now)
    const nothing = { 'from-matrix': 0, 'to-matrix': 0, 'to-ghosts': 0, 'for-people': 0 }
    assert.deepEqual([await depth(), await oldest()], [nothing, { 'from-matrix': 0, 'to-matrix': 0 }])

    const invited = await portalOf(database, { heldUntil: held })
    await toSend(database, invited.id, secondsAgo(5 * day))
    await toSend(database, invited.id, secondsAgo(5 * day), 'notice')
    const asked = await portalOf(database, { wanted: true })
    await came(database, asked.matrixRoom, secondsAgo(3 * day))
    assert.deepEqual(
      [await depth(), await oldest()],
      [
        { ...nothing, 'for-people': 3 },
        { 'from-matrix': 0, 'to-matrix': 0 },
      ],
    )

    const talking = await portalOf(database)
    await toSend(database, talking.id, secondsAgo(7))
    await came(database, talking.matrixRoom, secondsAgo(9))
    await came(database, '!nobody', secondsAgo(4))
    assert.deepEqual(
      [await depth(), await oldest()],
      [
        { ...nothing, 'from-matrix': 2, 'to-matrix': 1, 'for-people': 3 },
        { 'from-matrix': 9, 'to-matrix': 7 },
      ],
    )
  })

  test('for somebody who has come is as old as their coming', async () => {
    await using database = await open()
    const { id } = await portalOf(database, { heldUntil: secondsAgo(20) })
    await toSend(database, id, secondsAgo(5 * day))
    const { depth, oldest } = queues(database, () => now)
    assert.deepEqual([(await depth())['to-matrix'], (await oldest())['to-matrix']], [1, 20])
  })

  test('counts no outcome, which is never sent to Matrix, and what a group has read ahead', async () => {
    await using database = await open()
    const { depth, oldest } = queues(database, () => now)
    const blocked = await portalOf(database)
    await toSend(database, blocked.id, secondsAgo(day), 'outcome')
    assert.deepEqual([(await depth())['to-matrix'], (await oldest())['to-matrix']], [0, 0])
    const group = await portalOf(database, { group: true })
    await database.query(
      "insert into portal_ahead (portal, place, kind, body, created_at) values ($1, 3, 'message', '', $2)",
      [group.id, secondsAgo(12)],
    )
    assert.deepEqual([(await depth())['to-matrix'], (await oldest())['to-matrix']], [1, 12])
  })
})
