import process from 'node:process'

/** How often a process looks whether its parent is still there. */
const LOOK_MS = 1_000

/**
 * Ends this process with SIGTERM when the one that started it is gone, so that a kill -9 leaves no orphans behind.
 * SILTA_PARENT names the process to watch; when it is not our parent at the start (a grandchild that inherited the
 * variable, a script started by hand) nothing is watched. A process that does not end on SIGTERM is ended `graceMs` later.
 */
export function endWithParent({ graceMs = 20_000 }: { graceMs?: number } = {}): void {
  const parent = Number(process.env.SILTA_PARENT)
  if (!parent || process.ppid !== parent) return
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref()
  }, LOOK_MS)
  timer.unref()
}
