/**
 * The bus: wake-ups by topic, "look again, there is something new". It carries no data, only hints where to look: what is new
 * lies in the database, so a wake-up that comes late, twice or never loses nothing but time, and no plaintext can pass
 * here.
 *
 * It knows no module above; topics are theirs to name. Publish after a commit, never before.
 */
export { type Bus, openBus } from './in-process.ts'
