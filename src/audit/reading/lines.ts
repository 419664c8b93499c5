import { toBase64Url } from '../../crypto/index.ts'
import { facetsOf, readEntry, subjectMembers } from './facets.ts'
import { ocsfLine } from './ocsf.ts'
import type { PlacedEntry } from './placed.ts'

/**
 * How entries are handed out: `ndjson`, one object a line with the entry as it is; `ocsf`, one OCSF API Activity a line;
 * `csv`, as in RFC 4180 with a line of names first.
 */
export const exportFormats = ['ndjson', 'ocsf', 'csv'] as const
export type ExportFormat = (typeof exportFormats)[number]

/** What an export is, for HTTP. */
export const mediaTypes: Record<ExportFormat, string> = {
  ndjson: 'application/x-ndjson',
  ocsf: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8; header=present',
}

const columns = [
  ...['log', 'index', 'time', 'type', 'provider', 'outcome', ...subjectMembers],
  ...['operation', 'code', 'count', 'id', 'entry'],
] as const

/** What stands before the first line. */
export const head: Record<ExportFormat, string> = { ndjson: '', ocsf: '', csv: `${columns.join()}\r\n` }

/** One entry as a line, its end included. */
export function lineOf(format: ExportFormat, placed: PlacedEntry): string {
  switch (format) {
    case 'ndjson':
      return ndjsonLine(placed)
    case 'ocsf':
      return `${ocsfLine(placed)}\n`
    case 'csv':
      return csvLine(placed)
  }
}

/**
 * The entry stands there byte for byte, so its hash can be taken from the line. What is no JSON in one line, in a log that
 * somebody else made, stands there as bytes: it must not look like lines of its own.
 */
function ndjsonLine({ log, index, body }: PlacedEntry): string {
  const text = new TextDecoder().decode(body)
  const sound = !text.includes('\n') && Object.keys(readEntry(body)).length > 0
  const entry = sound ? `"entry":${text}` : `"entry":null,"bytes":"${toBase64Url(body)}"`
  return `{"log":${JSON.stringify(log)},"index":${index},${entry}}\n`
}

function csvLine({ log, index, body }: PlacedEntry): string {
  const json = readEntry(body)
  const { provider, outcome } = facetsOf(json)
  const values: Record<string, unknown> = {
    ...json,
    log,
    index,
    provider,
    outcome,
    entry: new TextDecoder().decode(body),
  }
  return `${columns.map((name) => csvField(values[name])).join()}\r\n`
}

function csvField(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
