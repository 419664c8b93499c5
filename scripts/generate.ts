// Writes what is generated from contracts and schemas:
//
//   npm run generate            the JSON Schemas of configuration and log entries, the
//                               OpenAPI of the auditors' API, the Grafana dashboard, and code from the messenger protocol
//   npm run generate -- --check fails when one of them is not up to date, and writes nothing
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { entryJsonSchema, openApiDocument } from '../src/audit/index.ts'
import { configJsonSchema } from '../src/config/index.ts'
import { dashboard } from './generate/dashboard.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const protocolFolder = 'src/protocol'

interface Generated {
  /** Relative to the root of the project. */
  readonly path: string
  readonly text: string
}

function schemas(): Generated[] {
  const all = {
    'schemas/config.schema.json': configJsonSchema(),
    'schemas/audit/v1/entry.schema.json': entryJsonSchema(),
    'config/grafana/silta.json': dashboard(),
  }
  const openApi = 'schemas/audit/openapi.yaml'
  return [
    ...Object.entries(all).map(([path, schema]) => ({ path, text: formatted(path, JSON.stringify(schema)) })),
    { path: openApi, text: formatted(openApi, stringify(openApiDocument(), { aliasDuplicateObjects: false })) },
  ]
}

/** As the formatter would have it, so that one check does not undo what the other asks for. */
function formatted(path: string, text: string): string {
  const biome = join(root, 'node_modules/.bin/biome')
  return execFileSync(biome, ['format', `--stdin-file-path=${path}`], { cwd: root, input: text, encoding: 'utf8' })
}

function protocol(): Generated[] {
  const folder = mkdtempSync(join(tmpdir(), 'silta-generate-'))
  try {
    execFileSync(join(root, 'node_modules/.bin/buf'), ['generate', '--output', folder], { cwd: root, stdio: 'inherit' })
    const output = join(folder, protocolFolder)
    return readdirSync(output).map((name) => ({
      path: `${protocolFolder}/${name}`,
      text: readFileSync(join(output, name), 'utf8'),
    }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function current(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return undefined
  }
}

const stale = [...schemas(), ...protocol()].filter(({ path, text }) => current(path) !== text)
if (process.argv.includes('--check')) {
  for (const { path } of stale) console.error(`${path} is not up to date: run npm run generate`)
  process.exitCode = stale.length > 0 ? 1 : 0
} else {
  for (const { path, text } of stale) {
    writeFileSync(join(root, path), text)
    console.log(`wrote ${path}`)
  }
  if (stale.length === 0) console.log('everything is up to date')
}
