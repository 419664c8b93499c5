// npm run conformance -- AREA PATH…: runs files in the formats of published test vectors through this project's code.
//
//   npm run conformance -- mls test/vectors/mls
//   npm run conformance -- content FILE FOLDER
//
// A folder stands for all files in it. Prints passed and failed for each file and in all; the exit code is 0 when
// something passed and nothing failed.
type Run = (paths: readonly string[]) => Promise<number>

const areas: Record<string, () => Promise<Run>> = {
  mls: async () => (await import('./conformance/mls.ts')).run,
}

const [area, ...paths] = process.argv.slice(2)
const load = areas[area ?? '']
if (load === undefined || paths.length === 0) {
  console.error(`usage: npm run conformance -- ${Object.keys(areas).join('|')} PATH…`)
  process.exitCode = 2
} else process.exitCode = await (await load())(paths)
