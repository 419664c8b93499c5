// Prepares the checkout, then runs one of the project's scripts on Node 24:
//
//   node scripts/bootstrap.mjs scripts/start.ts [arguments…]
//   node scripts/bootstrap.mjs                                 prepares only
//
// It is what every npm script calls. It runs on Node 18 with nothing installed, so it may import Node's own modules only.
// Preparing means: `npm ci` when the installed packages are not those of package-lock.json, then the project's patches
// to packages (patches/*.patch). Both are skipped, in a few milliseconds, when a stamp says that they are done.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_NEEDED = 24
/** How often a line is printed while npm works, so that nobody takes a slow network for a hang. */
const PROGRESS_MS = 10_000
/** How long npm may take to end when it is interrupted: it undoes what it began, which nobody needs and which takes long. */
const NPM_FAREWELL_MS = 2_000
/** How often a second command looks whether the first has finished installing. */
const TURN_MS = 250

const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 }
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const stamps = join(modules, '.silta')
const patchFolder = join(root, 'patches')

const say = (text) => process.stderr.write(`${text}\n`)

class Failure extends Error {}

const [script, ...scriptArguments] = process.argv.slice(2)
try {
  const installed = isManagedElsewhere() ? false : await prepare()
  if (script) runOnNewNode(resolve(root, script), scriptArguments, installed)
} catch (error) {
  if (!(error instanceof Failure)) throw error
  say(error.message)
  process.exitCode = 1
}

/** A linked node_modules belongs to another checkout: installing here would take it away from that one. */
function isManagedElsewhere() {
  return lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
}

async function prepare() {
  if (isInstalled() && isPatched()) return false
  await takeTurn()
  const install = !isInstalled()
  if (install) await installPackages()
  linkNode()
  applyPatches()
  return install
}

/** Two commands started together on a fresh clone must not install into each other's hands. */
async function takeTurn() {
  const file = join(root, '.cache', 'bootstrap.lock')
  mkdirSync(dirname(file), { recursive: true })
  for (let told = false; ; told = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      process.on('exit', () => rmSync(file, { force: true }))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isGone(file)) rmSync(file, { force: true })
    else {
      if (!told) say('Another command is installing the packages; waiting for it …')
      await new Promise((done) => setTimeout(done, TURN_MS))
    }
  }
}

function isGone(file) {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH' || error.code === 'ENOENT'
  }
}

// --- packages

function isInstalled() {
  const wanted = fingerprint([join(root, 'package-lock.json')])
  if (readStamp('lockfile') === wanted) return true
  if (!holdsLockedPackages()) return false
  writeStamp('lockfile', wanted)
  return true
}

/** Compares npm's own record of what is in node_modules with the lockfile, for an installation made by hand. */
function holdsLockedPackages() {
  const record = join(modules, '.package-lock.json')
  if (!existsSync(record)) return false
  const locked = readJson(join(root, 'package-lock.json')).packages
  const present = readJson(record).packages
  const same = (path) => present[path]?.version === locked[path]?.version
  return (
    Object.keys(present).every(same) &&
    Object.keys(locked).every((path) => path === '' || locked[path].optional || same(path))
  )
}

async function installPackages() {
  const started = Date.now()
  const seconds = () => Math.round((Date.now() - started) / 1000)
  const task = isLockfileComplete() ? ['ci'] : ['install', '--no-save']
  say(`Installing the packages that package-lock.json names (npm ${task.join(' ')}) …`)
  const timer = setInterval(() => say(`  still installing, ${seconds()} s`), PROGRESS_MS)
  const [command, first] = npmCommand()
  // Warnings are left out: npm complains that the Node it runs on is older than the one that the packages will run on.
  const options = [...first, ...task, '--no-audit', '--no-fund', '--loglevel=error']
  const npm = spawn(command, options, { cwd: root, stdio: 'inherit', env: npmEnvironment() })
  let stopped
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => {
      if (stopped) return
      stopped = signal
      say('Stopping the installation; the next start begins it anew.')
      npm.kill(signal)
      setTimeout(() => npm.kill('SIGKILL'), NPM_FAREWELL_MS).unref()
    })
  const code = await ended(npm)
  clearInterval(timer)
  // Without further words, as the signal would have ended this process.
  if (stopped) process.exit(128 + signalNumbers[stopped])
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
  if (code !== 0) {
    throw new Failure(
      `Installing the packages failed (npm ${task[0]} ended with ${code}). Its messages are above; ` +
        'the usual reasons are no network, a package registry that cannot be reached, or a full disk.',
    )
  }
  writeStamp('lockfile', fingerprint([join(root, 'package-lock.json')]))
  say(`  packages installed in ${seconds()} s`)
}

/**
 * A registry that serves some platforms only leaves the others out of the lockfile. npm 10 and 11 then refuse `npm ci`;
 * `npm install --no-save` installs the same locked versions and writes nothing back.
 */
function isLockfileComplete() {
  const packages = readJson(join(root, 'package-lock.json')).packages
  const has = (path, name) => {
    const at = `${path ? `${path}/` : ''}node_modules/${name}`
    return at in packages || (path !== '' && has(path.slice(0, Math.max(0, path.lastIndexOf('/node_modules/'))), name))
  }
  return Object.entries(packages).every(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).every((name) => has(path, name)),
  )
}

/** The npm that runs us where there is one: another one on the PATH may be of a different age. */
function npmCommand() {
  const cli = process.env.npm_execpath
  return cli && /\.c?js$/.test(cli) ? [process.execPath, [cli]] : ['npm', []]
}

/** npm judges by its own Node what fits; the packages will run on the newer one that comes with them. */
function npmEnvironment() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_NEEDED) return process.env
  const preload = JSON.stringify(join(root, 'scripts', 'support', 'npm-node-version.cjs'))
  return { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require ${preload}`.trim() }
}

/** npm 9 installs the package that holds Node and leaves out the link to its program. */
function linkNode() {
  const link = join(modules, '.bin', 'node')
  const folder = `node-${process.platform}-${process.arch}`
  if (existsSync(link) || !existsSync(join(modules, folder, 'bin', 'node'))) return
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(join('..', folder, 'bin', 'node'), link)
}

// --- patches

function patchNames() {
  if (!existsSync(patchFolder)) return []
  return readdirSync(patchFolder)
    .filter((name) => name.endsWith('.patch'))
    .sort()
}

/** The lockfile counts too: an installation by hand may have brought an unpatched package back. */
function patchFingerprint() {
  return fingerprint([join(root, 'package-lock.json'), ...patchNames().map((name) => join(patchFolder, name))])
}

function isPatched() {
  return readStamp('patches') === patchFingerprint()
}

function applyPatches() {
  if (isPatched()) return
  const names = patchNames()
  // What is applied now is kept beside the stamp: a patch that changed is undone with its old text first.
  const applied = join(stamps, 'patches')
  if (existsSync(applied) && readdirSync(applied).length > 0) patchPackage(applied, 'undo', ['--reverse'])
  rmSync(applied, { recursive: true, force: true })
  if (names.length > 0) patchPackage(patchFolder, 'apply', [])
  mkdirSync(applied, { recursive: true })
  for (const name of names) writeFileSync(join(applied, name), readFileSync(join(patchFolder, name)))
  writeStamp('patches', patchFingerprint())
}

function patchPackage(folder, verb, extra) {
  const tool = join(modules, 'patch-package', 'index.js')
  if (!existsSync(tool)) {
    throw new Failure('The packages cannot be patched: patch-package is not installed. Run: npm ci --include=dev')
  }
  const patchDirectory = folder.slice(root.length + 1)
  const options = [tool, '--patch-dir', patchDirectory, '--error-on-fail', ...extra]
  const { status, stdout, stderr } = spawnSync(process.execPath, options, { cwd: root, encoding: 'utf8' })
  if (status === 0) return
  throw new Failure(
    `${stdout}${stderr}\nCould not ${verb} the patches in ${patchDirectory}. ` +
      'If a package there was changed by hand, delete node_modules and start again.',
  )
}

// --- continuing on the Node that the project needs

function runOnNewNode(file, rest, installedJustNow) {
  if (!existsSync(file)) throw new Failure(`There is no script ${file}`)
  const own = join(modules, '.bin', 'node')
  const running = Number(process.versions.node.split('.')[0])
  const node = existsSync(own) ? own : process.execPath
  if (node !== own && running < NODE_NEEDED) {
    throw new Failure(
      `Silta needs Node ${NODE_NEEDED}; this is ${process.version}, and no package with a newer one was installed for ` +
        `${process.platform} ${process.arch}. Install Node ${NODE_NEEDED} (https://nodejs.org/en/download) and run the command again.`,
    )
  }
  const options = ['--disable-warning=ExperimentalWarning', file, ...rest]
  if (typeof process.execve === 'function' && !installedJustNow) {
    // Becomes the script: same process, so signals, exit code and terminal are its own. npm waits for what it runs.
    const parent = process.env.npm_lifecycle_event ? { SILTA_PARENT: String(npmProcess()) } : {}
    process.execve(node, [node, ...options], { ...process.env, ...parent })
  }
  const child = spawn(node, options, { stdio: 'inherit', env: { ...process.env, SILTA_PARENT: String(process.pid) } })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  ended(child).then((code) => process.exit(code))
}

/** The npm that runs us: our parent, or, where the shell in between stays (Linux tells), that one's parent. */
function npmProcess() {
  try {
    const [, name, , parent] =
      /^\d+ \((.*)\) (\S+) (\d+)/.exec(readFileSync(`/proc/${process.ppid}/stat`, 'utf8')) ?? []
    return /^(ba|da)?sh$/.test(name) ? parent : process.ppid
  } catch {
    return process.ppid
  }
}

/** Resolves with the exit code; a child that a signal ended counts as 128 + its number, as in a shell. */
function ended(child) {
  return new Promise((done) => {
    child.once('error', (error) => {
      say(`${child.spawnfile} could not be started: ${error.message}`)
      done(127)
    })
    child.once('exit', (code, signal) => done(code ?? 128 + (signalNumbers[signal] ?? 0)))
  })
}

// --- stamps

function fingerprint(files) {
  const hash = createHash('sha256')
  for (const file of files)
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update('\0')
  return hash.digest('hex')
}

function readStamp(name) {
  const file = join(stamps, `${name}.sha256`)
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

function writeStamp(name, value) {
  mkdirSync(stamps, { recursive: true })
  writeFileSync(join(stamps, `${name}.sha256`), `${value}\n`)
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}
