// The process in which everything is measured; what it found goes to the one that started it (main.ts).
import { cpus } from 'node:os'
import { endWithParent } from '../scripts/support/end-with-parent.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { findPostgres } from '../test/support/postgres.ts'
import { measureConnections } from './connections.ts'
import { measureConversations } from './conversations.ts'
import { measureFloor } from './floor.ts'
import { measureMemory } from './memory.ts'
import { roomCost } from './mls-room.ts'
import { readOptions, wanted } from './options.ts'
import { measurePeer } from './peer.ts'
import type { Results } from './report.ts'
import { measureStart } from './start.ts'
import type { DatabaseKind } from './world.ts'

const options = readOptions(process.argv.slice(2))
endWithParent()
// Whatever is running is ended by what its starter does at `exit`.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const progress = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)}  ${line}`)

const kinds = (['pglite', 'postgres'] as const).filter((kind): kind is DatabaseKind => {
  if (kind !== 'postgres' || findPostgres() !== undefined) return true
  progress('PostgreSQL is not installed: only the embedded database is measured')
  return false
})
const results: Results = {
  at: new Date().toISOString(),
  machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}`,
  options: { rounds: options.rounds, messages: options.messages, quick: options.quick },
}
if (wanted(options, 'floor')) {
  progress('floor: the cryptography and the commits of a message')
  results.floor = await measureFloor(options.quick ? 100 : 500, kinds)
}
if (wanted(options, 'mls')) {
  results.mls = []
  for (const members of options.quick ? [2, 50] : [2, 50, 250, 1000]) {
    progress(`mls: a room of ${members}`)
    results.mls.push(await roomCost(nodeMlsProvider(), members, options.quick ? 20 : 100))
  }
}
const conversations = await measureConversations(options, kinds, progress)
if (conversations.length > 0) results.conversations = conversations
if (options.peer !== undefined) results.peer = await measurePeer(options.peer, options, kinds, progress)
if (options.names.includes('memory')) results.memory = await measureMemory(options, progress)
if (options.names.includes('start')) results.start = await measureStart(options, progress)
if (options.names.includes('connections')) results.connections = await measureConnections(options, progress)
// What these need speaks of itself where it is only loaded, or has to be installed.
if (options.names.includes('synapse'))
  results.native = await (await import('./native.ts')).measureBesideNative(options, progress)
if (options.names.includes('guests'))
  results.guests = await (await import('./guests.ts')).measureGuests(options, progress)
if (options.names.includes('audit')) results.audit = await (await import('./audit.ts')).measureAudit(options, progress)
process.send!(results, () => process.disconnect())
