const dayForm = /^\d{4}-\d\d-\d\d$/
const momentForm = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?Z)?$/

/**
 * A day (2026-11-22, from its beginning) or a time in UTC (2026-11-22T10:00Z, with seconds and milliseconds where they are
 * given), in milliseconds since the epoch; undefined for anything else, and for one that the calendar does not have.
 */
export function readMoment(text: string): number | undefined {
  const [, day, time = '00:00', seconds = '00', fraction = ''] = momentForm.exec(text) ?? []
  if (day === undefined) return undefined
  const written = `${day}T${time}:${seconds}.${fraction.padEnd(3, '0')}Z`
  const at = Date.parse(written)
  // Date.parse makes a day of March of the thirtieth of February.
  return Number.isFinite(at) && new Date(at).toISOString() === written ? at : undefined
}

/** As `readMoment`, and only a whole day. */
export function readDay(text: string): number | undefined {
  return dayForm.test(text) ? readMoment(text) : undefined
}
