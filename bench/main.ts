// npm run bench: how fast the bridge is, how much a message costs, and what it could not be faster than.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { endWithParent } from '../scripts/support/end-with-parent.ts'
import { help, readOptions } from './options.ts'
import { type Results, resultLines } from './report.ts'

const words = process.argv.slice(2)
const options = readOptions(words)
if (options.help) {
  console.log(help)
  process.exit(0)
}

endWithParent()
// In a process of its own, whose standard output is this one's standard error: whatever a library or a process under it
// has to say, standard output has the results alone.
const program = fileURLToPath(new URL('./measure.ts', import.meta.url))
const child = spawn(process.execPath, [...process.execArgv, program, ...words], {
  stdio: ['ignore', 2, 2, 'ipc'],
  // Of a figure that there is none of, NaN stays.
  serialization: 'advanced',
  env: { ...process.env, SILTA_PARENT: String(process.pid) },
})
let results: Results | undefined
child.on('message', (found) => {
  results = found as Results
})
const [code] = await once(child, 'close')
if (results === undefined) process.exit(code || 1)
if (options.json) console.log(JSON.stringify(results, undefined, 2))
else for (const line of resultLines(results)) console.log(line)
process.exitCode = code ?? 1
