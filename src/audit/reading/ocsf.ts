import { facetsOf, readEntry } from './facets.ts'
import type { PlacedEntry } from './placed.ts'

// OCSF 1.8.0, class API Activity (6003): https://schema.ocsf.io/1.8.0/classes/api_activity

const version = '1.8.0'
const category = { uid: 6, name: 'Application Activity' }
const apiActivity = { uid: 6003, name: 'API Activity' }
const severity = { id: 1, name: 'Informational' }

const activities = { Create: 1, Read: 2, Update: 3, Delete: 4, Other: 99 } as const
type Activity = keyof typeof activities

/** By the last word of an event's type; what is not listed is Other. */
const activityOf: Record<string, Activity> = {
  created: 'Create',
  linked: 'Create',
  published: 'Create',
  'opted-in': 'Create',
  admitted: 'Create',
  endorsed: 'Update',
  changed: 'Update',
  applied: 'Update',
  rotated: 'Update',
  unlinked: 'Delete',
  'opted-out': 'Delete',
  removed: 'Delete',
  ended: 'Delete',
  'carried-out': 'Delete',
  erased: 'Delete',
}

const time = (value: unknown) => (typeof value === 'string' ? Date.parse(value) : undefined)

/** An entry as an OCSF event, JSON in one line. What has no place in OCSF is there unchanged, in `raw_data`. */
export function ocsfLine({ log, index, body }: PlacedEntry): string {
  const entry = readEntry(body)
  const { at, type, provider, outcome, subjects } = facetsOf(entry)
  const activity = activityOf[type.split('.').at(-1) ?? ''] ?? 'Other'
  const status = statusOf(outcome)
  const { account, count } = entry
  return JSON.stringify({
    category_uid: category.uid,
    category_name: category.name,
    class_uid: apiActivity.uid,
    class_name: apiActivity.name,
    activity_id: activities[activity],
    // Of Other, OCSF wants the source's own word.
    activity_name: activity === 'Other' ? type : activity,
    type_uid: apiActivity.uid * 100 + activities[activity],
    type_name: `${apiActivity.name}: ${activity}`,
    severity_id: severity.id,
    severity: severity.name,
    ...status,
    ...(typeof entry.code === 'string' ? { status_code: entry.code } : {}),
    time: time(entry.since) ?? at,
    ...(typeof count === 'number' ? { count, start_time: time(entry.since), end_time: time(entry.until) } : {}),
    actor: typeof account === 'string' ? { user: { uid: account } } : { app_name: 'silta' },
    api: { operation: typeof entry.operation === 'string' ? entry.operation : type, service: { name: 'silta' } },
    // Of whom a request comes, no address is kept: the network is what is known.
    src_endpoint: { svc_name: provider ?? 'messenger' },
    ...(subjects.length > 0 ? { resources: subjects.map((uid) => ({ uid, type: kindOf(entry, uid) })) } : {}),
    metadata: {
      version,
      product: { name: 'Silta', vendor_name: 'Silta' },
      log_name: log,
      sequence: index,
      uid: entry.id,
      event_code: type,
      log_version: String(entry.version),
      original_time: entry.time,
    },
    raw_data: new TextDecoder().decode(body),
    unmapped: { log: { origin: log, index } },
  })
}

function statusOf(outcome: string) {
  if (outcome === 'done') return { status_id: 1, status: 'Success' }
  if (outcome === 'refused' || outcome === 'failed') return { status_id: 2, status: 'Failure' }
  return { status_id: 99, status: outcome }
}

function kindOf(entry: Readonly<Record<string, unknown>>, uid: string): string {
  return Object.keys(entry).find((member) => entry[member] === uid) ?? 'subject'
}
