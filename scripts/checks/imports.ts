import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** One import or re-export of a source file. */
interface Import {
  specifier: string
  /** Erased before the program runs. Such an import is knowledge all the same, but brings no code. */
  typeOnly: boolean
  /** Names taken from the other module; undefined for a namespace, default, dynamic or side-effect import. */
  names?: string[]
  line: number
}

/** The imports of each source file, by its path in the repository. */
export type ImportGraph = ReadonlyMap<string, readonly Import[]>

/** Who may import whom in src/, and what must never be reachable. The table is import-rules.ts. */
export interface ImportRules {
  /** Room → rooms that it may import. A room that is missing here may not exist. */
  arrows: Record<string, readonly string[]>
  /** Single files that may import one room more than theirs may. */
  fileArrows: Record<string, readonly string[]>
  /** Room → its doors beside index.ts. */
  doors: Record<string, readonly string[]>
  /** Room → other room → the doors that it may use there, where that is not all of them. */
  onlyDoor: Record<string, Record<string, readonly string[]>>
  /** Package → the rooms (or folders, or files) that may import it. A package that is missing here is free. */
  packages: Record<string, readonly string[]>
  /** What must not be reachable from some files, however long the way. */
  closures: readonly {
    name: string
    start: (file: string) => boolean
    /** Whether imports of types count: what is forbidden to know, or only forbidden to load. */
    withTypes: boolean
    forbidsFile?: (file: string) => boolean
    /** Judges an import of a package or of a module of Node; answers with the objection. */
    objectsTo?: (one: Import) => string | undefined
  }[]
  /** Files for tests only. They put rooms together that do not know each other; nothing else may import them. */
  isTest: (file: string) => boolean
}

const clause = String.raw`\*(?:\s+as\s+[\w$]+)?|(?:[\w$]+\s*,\s*)?(?:\{[^}]*\}|\*\s+as\s+[\w$]+)|[\w$]+`
const statement = new RegExp(
  String.raw`^(?:import|export)\s+(?<type>type\s+(?!from\b))?(?:(?<clause>${clause})\s+from\s+)?['"](?<path>[^'"\n]+)['"]`,
  'gm',
)
const expression = /\bimport\(\s*['"](?<path>[^'"\n]+)['"]\s*\)/g

/** Reads the import specifiers of a formatted source file: statements begin their line. */
export function readImports(source: string): Import[] {
  const line = (index: number) => source.slice(0, index).split('\n').length
  const imports: Import[] = []
  for (const match of source.matchAll(statement)) {
    const groups = match.groups as { type?: string; clause?: string; path: string }
    const names = /^\{([^}]*)\}$/.exec(groups.clause ?? '')?.[1]?.split(',')
    imports.push({
      specifier: groups.path,
      typeOnly: groups.type !== undefined,
      line: line(match.index),
      ...(names ? { names: names.map(originalName).filter(Boolean) } : {}),
    })
  }
  for (const match of source.matchAll(expression)) {
    const before = source.slice(0, match.index)
    // `typeof import('x')` and `import('x').Type` in a type position are not told apart: both count as code.
    imports.push({
      specifier: match.groups?.path ?? '',
      typeOnly: /\btypeof\s+$/.test(before),
      line: line(match.index),
    })
  }
  return imports
}

/** `type A as B` → `A` */
const originalName = (text: string): string =>
  text
    .trim()
    .replace(/^type\s+/, '')
    .split(/\s+as\s+/)[0] ?? ''

/** Reads the graph of the given files (paths in the repository at `root`). */
export function readGraph(root: string, files: readonly string[]): ImportGraph {
  return new Map(files.map((file) => [file, readImports(readFileSync(join(root, file), 'utf8'))]))
}

/** Path of the file that a relative specifier means; undefined for packages and Node's own modules. */
function targetOf(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : undefined
}

/** The room that a file lies in: `src/hub/rooms.ts` in `hub`, `src/main.ts` in `main.ts`; undefined outside of src. */
function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)/.exec(file)?.[1]
}

/** All findings in a graph, each with file, line and what to do about it. */
export function checkImports(graph: ImportGraph, rules: ImportRules): string[] {
  return [
    ...[...graph].flatMap(([file, imports]) => imports.flatMap((one) => checkArrow(file, one, rules))),
    ...findCycles(graph),
    ...rules.closures.flatMap((closure) => checkClosure(graph, closure)),
  ]
}

function checkArrow(file: string, one: Import, rules: ImportRules): string[] {
  const at = `${file}:${one.line}`
  const target = targetOf(file, one.specifier)
  if (rules.isTest(file)) return []
  if (target === undefined) return checkPackage(at, file, one, rules)
  const from = roomOf(file)
  const to = roomOf(target)
  const findings: string[] = []
  if (from && rules.isTest(target)) findings.push(`${at} ${target} is for tests only`)
  if (from && !to) findings.push(`${at} src/ may not import ${target}, which lies outside of it`)
  if (!to || to === from) return findings
  if (from) findings.push(...checkRooms(at, file, from, to, rules))
  if (!isDoor(target, to, rules)) findings.push(`${at} ${target} is not a door of src/${to}: import src/${to}/index.ts`)
  const onlyDoor = from ? rules.onlyDoor[from]?.[to] : undefined
  if (onlyDoor && !onlyDoor.includes(target)) {
    findings.push(`${at} src/${from} may enter src/${to} through ${onlyDoor.join(' or ')} only`)
  }
  return findings
}

function checkRooms(at: string, file: string, from: string, to: string, rules: ImportRules): string[] {
  const allowed = rules.arrows[from]
  if (!allowed) return [`${at} the room src/${from} is not in the table (scripts/checks/import-rules.ts)`]
  if (allowed.includes(to) || rules.fileArrows[file]?.includes(to)) return []
  return [`${at} src/${from} may not import src/${to}; it may import ${allowed.join(', ') || 'no other room'}`]
}

function isDoor(target: string, room: string, rules: ImportRules): boolean {
  return target === `src/${room}` || target === `src/${room}/index.ts` || (rules.doors[room] ?? []).includes(target)
}

function checkPackage(at: string, file: string, { specifier }: Import, rules: ImportRules): string[] {
  const from = roomOf(file)
  if (!from) return []
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier
  const rooms = rules.packages[name]
  if (!rooms || rooms.some((room) => file === `src/${room}` || file.startsWith(`src/${room}/`))) return []
  return [`${at} the package ${name} belongs to ${rooms.map((room) => `src/${room}`).join(', ')}`]
}

/** Circles of files: each is reported once, from its first file. Files that only tests load are included. */
function findCycles(graph: ImportGraph): string[] {
  const findings: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const trail: string[] = []
  const visit = (file: string) => {
    if (state.get(file) === 'done' || !graph.has(file)) return
    if (state.get(file) === 'open') {
      const circle = trail.slice(trail.indexOf(file))
      findings.push(`a circle of imports: ${[...circle, file].join(' → ')}`)
      return
    }
    state.set(file, 'open')
    trail.push(file)
    for (const { specifier } of graph.get(file) ?? []) {
      const target = targetOf(file, specifier)
      if (target) visit(target)
    }
    trail.pop()
    state.set(file, 'done')
  }
  for (const file of [...graph.keys()].sort()) visit(file)
  return findings
}

/** Everything that is loaded, or known, when the start files are: the way to each file, from its start. */
function closureOf(graph: ImportGraph, starts: readonly string[], withTypes: boolean): Map<string, string[]> {
  const ways = new Map<string, string[]>()
  const queue = starts.map((file) => [file])
  for (let way = queue.shift(); way; way = queue.shift()) {
    const file = way.at(-1) as string
    if (ways.has(file) || !graph.has(file)) continue
    ways.set(file, way)
    for (const { specifier, typeOnly } of graph.get(file) ?? []) {
      const target = targetOf(file, specifier)
      if (target && (withTypes || !typeOnly)) queue.push([...way, target])
    }
  }
  return ways
}

function checkClosure(graph: ImportGraph, rule: ImportRules['closures'][number]): string[] {
  const findings: string[] = []
  const starts = [...graph.keys()].filter(rule.start)
  for (const [file, way] of closureOf(graph, starts, rule.withTypes)) {
    if (rule.forbidsFile?.(file)) findings.push(`${rule.name}: reaches ${file}, by ${way.join(' → ')}`)
    for (const one of graph.get(file) ?? []) {
      if ((one.typeOnly && !rule.withTypes) || targetOf(file, one.specifier) !== undefined) continue
      const objection = rule.objectsTo?.(one)
      if (objection) findings.push(`${rule.name}: ${file}:${one.line} ${objection}, by ${way.join(' → ')}`)
    }
  }
  return findings
}
