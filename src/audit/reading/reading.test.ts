import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { utf8 } from '../../crypto/index.ts'
import { entryJsonSchema } from '../event-schema.ts'
import { facetsOf, matches, outcomes, readEntry, subjectMembers } from './facets.ts'
import { exportFormats, head, lineOf } from './lines.ts'

const pseudonym = 'AbCdEfGhIjKlMnOpQrStUv'
const samples = [
  { type: 'account.created', account: pseudonym, accountKind: 'person' },
  { type: 'device.unlinked', account: pseudonym, device: 'b'.repeat(22) },
  { type: 'network.opted-out', account: pseudonym, network: 'matrix' },
  {
    type: 'refusals.counted',
    ...{ operation: 'createAccount', code: 'bad-token', count: 3 },
    ...{ since: '2026-01-01T00:00:00.000Z', until: '2026-01-01T00:05:00.000Z' },
  },
  { type: 'configuration.applied', first: true, changed: ['a.b'], policy: { 'limits.roomMembers': 5 } },
].map((event) => ({ ...event, id: 'i'.repeat(22), time: '2026-01-01T00:05:01.000Z', version: 1 }))
const placed = (entry: unknown, index = 4) => ({ log: 'x.example/audit', index, body: utf8(JSON.stringify(entry)) })

/**
 * What OCSF 1.8.0 requires of an API Activity, by path (github.com/ocsf/ocsf-schema, commit 3dcb905d of 2026-03-16:
 * events/base_event.json, events/application/api_activity.json, and the objects that they name).
 */
const ocsf = {
  required: {
    '': [
      'activity_id',
      'category_uid',
      'class_uid',
      'metadata',
      'severity_id',
      'time',
      'type_uid',
      'actor',
      'api',
      'src_endpoint',
    ],
    metadata: ['product', 'version'],
    api: ['operation'],
  },
  atLeastOne: {
    actor: ['process', 'user', 'invoked_by', 'session', 'app_name', 'app_uid'],
    'actor.user': ['account', 'name', 'uid'],
    'api.service': ['name', 'uid'],
    'metadata.product': ['name', 'uid'],
    src_endpoint: [
      'ip',
      'uid',
      'name',
      'hostname',
      'svc_name',
      'instance_uid',
      'interface_uid',
      'interface_name',
      'domain',
    ],
  },
  activities: [0, 1, 2, 3, 4, 99],
}

type Json = Record<string, unknown>
const at = (event: Json, path: string) =>
  path === ''
    ? event
    : path.split('.').reduce<Json | undefined>((json, name) => json?.[name] as Json | undefined, event)

function ocsfProblems(event: Json): string[] {
  const problems: string[] = []
  for (const [path, names] of Object.entries(ocsf.required))
    for (const name of names) if (at(event, path)?.[name] === undefined) problems.push(`${path}.${name}`)
  for (const [path, names] of Object.entries(ocsf.atLeastOne)) {
    const object = at(event, path)
    if (object && !names.some((name) => object[name] !== undefined)) problems.push(`one of ${path}.*`)
  }
  const { class_uid, category_uid, activity_id, type_uid, status_id, status, activity_name, time, count } = event
  if (class_uid !== 6003 || category_uid !== 6) problems.push('not an API Activity')
  if (!ocsf.activities.includes(activity_id as number)) problems.push('activity_id')
  if (type_uid !== 600300 + (activity_id as number)) problems.push('type_uid')
  if (activity_id === 99 && !activity_name) problems.push('activity_name of Other')
  if (status_id === 99 && !status) problems.push('status of Other')
  if (!Number.isSafeInteger(time)) problems.push('time')
  if (count !== undefined && (event.start_time === undefined || event.end_time === undefined)) problems.push('count')
  return problems
}

describe('entries are handed out', () => {
  test('as OCSF API Activity, with all that OCSF requires', () => {
    for (const sample of samples) {
      const event = JSON.parse(lineOf('ocsf', placed(sample))) as Json
      assert.deepEqual(ocsfProblems(event), [], sample.type)
      assert.deepEqual(event.unmapped, { log: { origin: 'x.example/audit', index: 4 } })
      assert.deepEqual(JSON.parse(event.raw_data as string), sample)
    }
    assert.notDeepEqual(ocsfProblems({ class_uid: 6003 }), [])
    const refused = JSON.parse(lineOf('ocsf', placed(samples[3]))) as Json
    assert.deepEqual([refused.status, refused.status_code, refused.count], ['Failure', 'bad-token', 3])
  })

  test('as CSV, a field for each column, whatever is in it', () => {
    const line = lineOf('csv', placed({ ...samples[2], note: 'a "b", c' }))
    const columns = head.csv.trim().split(',')
    const fields = line
      .trim()
      .match(/("([^"]|"")*"|[^,]*)(,|$)/g)!
      .slice(0, columns.length)
    const value = (name: string) => fields[columns.indexOf(name)]!.replace(/,$/, '')
    assert.deepEqual(['log', 'index', 'account', 'provider'].map(value), ['x.example/audit', '4', pseudonym, 'matrix'])
    assert.match(value('entry').replaceAll('""', '"'), /^"\{.*"note":"a \\"b\\", c".*\}"$/)
  })

  test('in lines that no entry can break', () => {
    const forged = { log: 'x', index: 1, body: utf8('{"type":"a"}\n{"log":"x","index":9,"entry":{}}') }
    for (const format of exportFormats) {
      const text = lineOf(format, forged)
      if (format !== 'csv') assert.equal(text.trimEnd().split('\n').length, 1, format)
    }
    assert.equal(JSON.parse(lineOf('ndjson', forged)).entry, null)
  })
})

describe('what entries are looked for by', () => {
  test('is read from the entry', () => {
    assert.deepEqual(facetsOf(samples[2]!), {
      at: Date.UTC(2026, 0, 1, 0, 5, 1),
      type: 'network.opted-out',
      provider: 'matrix',
      outcome: 'done',
      subjects: [pseudonym],
    })
    assert.equal(matches(facetsOf(samples[1]!), { pseudonym: 'b'.repeat(22) }), true)
    assert.equal(matches(facetsOf(samples[1]!), { pseudonym: 'c'.repeat(22) }), false)
    assert.deepEqual(readEntry(utf8('nonsense')), {})
  })

  test('covers every outcome that the schema of entries has', () => {
    const { oneOf, anyOf } = entryJsonSchema() as Record<string, { properties: Record<string, { enum?: string[] }> }[]>
    const said = (oneOf ?? anyOf)!.flatMap(({ properties }) => properties.outcome?.enum ?? [])
    assert.deepEqual(new Set(['done', 'refused', ...said]), new Set(outcomes))
  })

  test('covers every pseudonym that the schema of entries has', () => {
    const variants = (entryJsonSchema().oneOf ?? entryJsonSchema().anyOf) as {
      properties: Record<string, { pattern?: string }>
    }[]
    const members = variants.flatMap(({ properties }) =>
      Object.entries(properties).flatMap(([name, { pattern }]) => (pattern?.includes('{22}') ? [name] : [])),
    )
    assert.deepEqual([...new Set(members)].filter((name) => name !== 'id').sort(), [...subjectMembers].sort())
  })
})
