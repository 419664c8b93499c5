/**
 * The bus: wake-ups by topic, "look again, there is something new". It carries no data, only hints where to look: what is new
 * lies in the database, so a wake-up that comes late, twice or never loses nothing but time, and no plaintext can pass
 * here. The one exception are ephemeral frames, which lie nowhere: ciphertext, and nobody misses them.
 *
 * It knows no module above; topics are theirs to name. Publish after a commit, never before.
 */
export { type Bus, openBus } from './in-process.ts'
