import { readFileSync } from 'node:fs'
import process from 'node:process'

/** How often a process looks whether the one that started it is still there. */
const LOOK_MS = 1_000

/**
 * Ends this process with SIGTERM when the one that SILTA_PARENT names is gone, so that a kill -9 leaves no orphans behind.
 * A process that does not end on SIGTERM is ended `graceMs` later.
 */
export function endWithParent({ graceMs = 20_000 }: { graceMs?: number } = {}): void {
  const parent = Number(process.env.SILTA_PARENT)
  if (!parent) return
  // A killed parent may stay as a zombie, but gives its children away at once. The other way is for grandchildren, and
  // for a child whose parent was gone before it came here.
  const isChild = process.ppid === parent
  const isGone = () => (isChild ? process.ppid !== parent : !exists(parent))
  const look = () => {
    if (!isGone()) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref()
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
}

/** Whether a process runs; one that has ended and was not waited for (a zombie, as Linux tells) does not. */
export function exists(pid: number): boolean {
  if (!pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}
