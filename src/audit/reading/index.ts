/**
 * What is read out of the log: what entries are looked for by, the forms in which they are handed out, and reading them
 * with a proof of each. For the tool of an auditor, for the service and for the page; it writes nothing.
 */

export { answeredType, type ClockedRequest, clockOf, requestedType } from './clock.ts'
export { type EntryFilter, type EntryJson, facetsOf, matches, outcomes, readEntry, subjectMembers } from './facets.ts'
export { type ExportFormat, exportFormats, head, lineOf, mediaTypes } from './lines.ts'
export { readDay, readMoment } from './moment.ts'
export { type ParityFigures, type ParitySpan, parityOf, parityType } from './parity.ts'
export { proofOf, readEntries } from './read.ts'
export { followYears, partsOf, trustFor } from './years.ts'
