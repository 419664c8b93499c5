/**
 * The compliance log: what the service did, in an append-only log that an auditor verifies without trusting whoever runs
 * it.
 *
 * It may know what was done, by which account and under which code. No content, handle, address or name gets into an
 * entry: subjects are random pseudonyms. `log/` is the format (C2SP tiles, checkpoints, signed notes), pure and without a
 * notion of what an entry says.
 */
export { addAuditor, readAuditors, revokeAuditor, type Scope, scopes, usualScopes } from './credentials.ts'
export { entryJsonSchema } from './event-schema.ts'
export type { Audit, AuditEvent } from './events.ts'
export { interopOutcomes } from './interop.ts'
export {
  decodeProof,
  encodeVerifier,
  LogError,
  openEarlier,
  parsePolicy,
  parseVerifier,
  verifyLog,
  verifyProof,
} from './log/index.ts'
export { auditorsFile, type ComplianceLog, openComplianceLog, originOf } from './open.ts'
export { readLogAt } from './place.ts'
export { findEntries, findStatement, openApiDocument, readFilter } from './query/index.ts'
export {
  type EntryFilter,
  exportFormats,
  followYears,
  head,
  lineOf,
  partsOf,
  proofOf,
  readDay,
  readEntries,
  trustFor,
} from './reading/index.ts'
export { type AuditStep, auditSteps } from './sequence.ts'
export { logSigners } from './signers.ts'
export { type ErasureStep, erasureSteps } from './subjects/erasure.ts'
export { SubjectKeysError } from './subjects/key-file.ts'
