// The checks that `npm run verify` runs, in order. Each is a step with a name, its findings, and how to mend them.
// A check that needs more than a few lines has its own file here, pure where it can be, with a test beside it.
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { packageProgram, root, run, trackedFiles } from '../support/command.ts'
import { programStep, type Step } from '../support/steps.ts'
import { findDuplicates } from './duplicates.ts'
import { importRules } from './import-rules.ts'
import { checkImports, readGraph } from './imports.ts'
import { checkLicences } from './licences.ts'
import { findMachinePaths, machinePathPattern } from './machine-paths.ts'

/** Equal tokens from which on two pieces of code are one piece too many; tests may repeat more, for being read alone. */
const DUPLICATE_TOKENS = 80
const DUPLICATE_TOKENS_TEST = 160

const program = (name: string, parameters: string[]) => () => run(packageProgram(name), parameters)

const sourceFiles = async () => (await trackedFiles('*.ts', '*.tsx')).filter((file) => !file.endsWith('.d.ts'))

export const checks: readonly Step[] = [
  programStep(
    'format and lint',
    program('biome', ['check', '--colors=off', '--error-on-warnings']),
    'node_modules/.bin/biome check --write mends most of it',
  ),
  programStep('types', program('tsc', ['-p', '.', '--pretty', 'false'])),
  programStep(
    'dead code',
    program('knip', ['--no-progress']),
    'delete what nothing uses; what an outside tool uses is named in knip.json',
  ),
  {
    name: 'import order and cycles',
    async check() {
      const files = await sourceFiles()
      return {
        findings: checkImports(readGraph(root, files), importRules),
        hint: 'the order and its reasons are in scripts/checks/import-rules.ts',
      }
    },
  },
  {
    name: 'duplicates',
    async check() {
      const texts = (await sourceFiles()).map((file) => ({
        file,
        source: readFileSync(join(root, file), 'utf8'),
        minimum: importRules.isTest(file) ? DUPLICATE_TOKENS_TEST : DUPLICATE_TOKENS,
      }))
      return { findings: findDuplicates(texts), hint: 'where the logic really is the same, make one piece serve both' }
    },
  },
  programStep('generated files', () => run(process.execPath, ['scripts/generate.ts', '--check'])),
  {
    name: 'licences of what runs in production',
    async check() {
      return { findings: checkLicences(root), hint: 'the allowed ones are in scripts/checks/licences.ts' }
    },
  },
  {
    name: 'no machine paths',
    async check() {
      const pattern = machinePathPattern(root, homedir())
      const files = (await trackedFiles()).filter(
        (file) => file !== 'package-lock.json' && !file.startsWith('test/vectors/'),
      )
      return {
        findings: files.flatMap((file) => findMachinePaths(file, readFileSync(join(root, file), 'latin1'), pattern)),
        hint: 'paths belong to the checkout (import.meta.url) or into configuration',
      }
    },
  },
]
