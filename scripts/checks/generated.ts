import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageProgram, root, run } from '../support/command.ts'

/** Generates the protobuf code again, elsewhere, and compares it with what the repository holds. */
export async function checkGenerated(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'silta-generated-'))
  try {
    const { code, output } = await run(packageProgram('buf'), ['generate', '-o', folder])
    if (code !== 0) return [output]
    const generated = readdirSync(join(folder, 'src/protocol'))
    return generated
      .map((name) => join('src/protocol', name))
      .filter((file) => !sameText(join(folder, file), join(root, file)))
      .map((file) => `${file} is not what schemas/messenger/v1 generates`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function sameText(a: string, b: string): boolean {
  try {
    return readFileSync(a, 'utf8') === readFileSync(b, 'utf8')
  } catch {
    return false
  }
}
