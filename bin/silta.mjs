#!/usr/bin/env node
// Starts the command line (src/cli) on a Node that can run it: this one, or the one among the installed packages.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const needed = 24
const own = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))

if (Number(process.versions.node.split('.')[0]) >= needed) {
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    // SQLite, which holds the lock of the data directory, is still called experimental.
    if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`)
  })
  const { run } = await import('../src/cli/index.ts')
  process.exitCode = await run(process.argv.slice(2), {
    env: process.env,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  })
} else if (existsSync(own)) {
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
} else {
  process.stderr.write(
    `silta needs Node ${needed} or newer; this is ${process.version}. In a checkout, npm ci installs one.\n`,
  )
  process.exitCode = 1
}
