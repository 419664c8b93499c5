import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { type Database, isStoreError } from '../../store/index.ts'
import { type AuditEvent, openAudit } from '../events.ts'
import { openSequencer, type SequencerOptions } from '../sequencer.ts'
import type { SubjectKeys } from '../subjects/key-file.ts'
import { keyAt, leafOf, newKeyTree, withoutLeaves } from '../subjects/key-tree.ts'
import { openPseudonyms } from '../subjects/pseudonyms.ts'
import { testSigner } from './log.ts'

const testAccount = (name: string) => `mimi://silta.example/u/${name.padEnd(22, '_')}`

const testKey = crypto.sha256(new Uint8Array([7]))

/** For tests: keys of subjects in memory, the same in every process. */
function testSubjectKeys(): SubjectKeys {
  let tree = newKeyTree(testKey)
  let destroyed = 0
  return {
    id: 'test',
    get destroyed() {
      return destroyed
    },
    keyOf: (digest) => keyAt(crypto, tree, leafOf(digest)),
    destroy(digests) {
      tree = withoutLeaves(crypto, tree, digests.map(leafOf))
      destroyed += digests.length
    },
  }
}

/** For tests: an audit log with keys that are the same in every process. */
export function testAudit(clock?: () => number): ReturnType<typeof openAudit> {
  const pseudonyms = openPseudonyms({ crypto, key: testKey, subjectKeys: testSubjectKeys() })
  return openAudit({ crypto, pseudonyms, networks: ['matrix'], clock })
}

export const anEvent = (name: string): AuditEvent => ({
  type: 'network.opted-in',
  account: testAccount(name),
  network: 'matrix',
})

let owners = 0

/** A sequencer that looks often and notes its faults. */
export function testSequencer(database: Database, folder: string, more: Partial<SequencerOptions> = {}) {
  const faults: string[] = []
  const sequencer = openSequencer({
    ...{ database, crypto, folder, audit: testAudit(), signer: testSigner },
    owner: `test ${++owners}`,
    everyMs: 5,
    leaseMs: 60_000,
    onFault: (error) => void faults.push(isStoreError(error) ? error.code : String(error)),
    ...more,
  })
  return { sequencer, faults }
}
