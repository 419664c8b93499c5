import { join } from 'node:path'
import type { Config } from '../../config/index.ts'
import { askOperator, operatorSocketFile } from '../../ops/index.ts'
import { type Finding, ok, wrong } from './finding.ts'

/** Asks the running service whether the file of auditors is as its log tells. Nothing without one: only it knows. */
export async function checkAuditors({ dataDirectory }: Config): Promise<Finding[]> {
  const answer = await askOperator(join(dataDirectory, operatorSocketFile), { path: '/audit/auditors' }).catch(
    () => undefined,
  )
  const changed = answer?.status === 200 ? answer.body.changed : undefined
  if (!Array.isArray(changed)) return []
  if (changed.length === 0) return [ok('auditors', 'those in auditors.json are as they were admitted.')]
  return [
    wrong(
      'auditors',
      `${changed.join(', ')}: otherwise in auditors.json than admitted. The credential opens nothing.`,
      'Find out who has changed the file.',
      'silta auditor revoke ID, and silta auditor add for whoever is to read the log still.',
    ),
  ]
}
